package module

import (
	"fmt"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// watcher is an on-upload rule with what a run that it starts leaves among the user's files.
type watcher struct {
	upload
	rule   runtimev1.UploadRule
	leaves []leaf
}

// leaf is where a run writes among a user's files: all that it writes there has a path that begins
// with this one.
type leaf struct {
	box, path string
	// file is the name that all of it has; empty when that is not known.
	file string
	said string
}

// likely is how sure it is that what a run leaves starts another one.
type likely int

const (
	never likely = iota
	maybe        // by what its files are called
	surely
)

// starts says of a leaf whether what comes there starts a run by the rule, when the file that its own
// run was started by ends in given.
func (l leaf) starts(r runtimev1.UploadRule, given string) likely {
	switch {
	case l.box == "" || l.box != r.Box,
		l.file != "" && !strings.HasSuffix("/"+l.file, r.Suffix):
		return never
	case strings.HasPrefix(l.path, r.Prefix) && (r.Suffix == "" || l.file != "" || r.Suffix == given):
		return surely
	case strings.HasPrefix(l.path, r.Prefix), strings.HasPrefix(r.Prefix, l.path):
		return maybe
	}
	return never
}

// starts says whether runs by the rule start runs by another one, and by which leaf they do most likely.
func (w watcher) starts(next watcher) (by leaf, most likely) {
	for _, l := range w.leaves {
		if is := l.starts(next.rule, w.rule.Suffix); is > most {
			by, most = l, is
		}
	}
	return by, most
}

// leaves are the folders that the rule names, those of the pipeline's own places, and
// <pipeline>/<run>/ of its default box, where a run.json always goes.
func (u upload) leaves(rule runtimev1.UploadRule, spec *runtimev1.PipelineSpec) (all []leaf) {
	for _, o := range rule.Outputs {
		if !o.Developer {
			all = append(all, leaf{box: o.Box, path: o.Path,
				said: fmt.Sprintf("its output goes to %s/%s", o.Box, o.Path)})
		}
	}
	name := u.pipeline.Meta.Name.Value
	own := leaf{box: spec.DefaultBox, path: name + "/" + name + "-", file: "run.json", // runs are <pipeline>-<id>
		said: fmt.Sprintf("it leaves files in %s/%s/", spec.DefaultBox, name)}
	for _, variable := range u.flow.Graph.Outputs() {
		if _, named := u.UploadRule.Outputs[variable]; named {
			continue
		}
		if p, ok := u.flow.ownTarget(variable); !ok {
			if !u.flow.Internal(variable, spec.Kept) {
				own.file = ""
			}
		} else if !p.Developer {
			all = append(all, leaf{box: p.Box, path: p.Path,
				said: fmt.Sprintf("%s goes to users/%s of %s by its mountFrom", variable, p.Path, p.Box)})
		}
	}
	return append(all, own)
}

// checkLoop finds a rule whose runs would start themselves again.
func (w watcher) checkLoop() {
	switch l, is := w.starts(w); is {
	case surely:
		w.wrong(": a run would start itself again: %s, which the rule watches; "+
			"give the rule a prefix of its own, like incoming/", l.said)
	case maybe:
		w.Warnf(w.Position, "%s: a run may start itself again: %s, and the rule watches %s; "+
			"give the rule a prefix of its own, like incoming/", w.where, l.said, watched(w.rule))
	}
}

// checkCircles finds rules whose runs would start one another for ever. Where that hangs on what their
// files are called, there is but a warning.
func checkCircles(s *scope) {
	seen := map[int]bool{} // rules of circles that were told
	for _, least := range []likely{surely, maybe} {
		for i := range s.watchers {
			circle := s.circle(i, least)
			if seen[i] || circle == nil {
				continue
			}
			var said []string
			for j, at := range circle {
				w := s.watchers[at]
				l, _ := w.starts(s.watchers[circle[(j+1)%len(circle)]])
				said = append(said, fmt.Sprintf("%s is started by %s, and %s", w.pipeline.Meta.Name.Value,
					watched(w.rule), l.said))
				seen[at] = true
			}
			report, word := s.Errorf, "would"
			if least == maybe {
				report, word = s.Warnf, "may"
			}
			report(s.watchers[i].Position, "%s: runs %s start one another for ever: %s; give one of the rules a prefix "+
				"of its own, like incoming/", s.watchers[i].where, word, strings.Join(said, "; "))
		}
	}
}

func watched(r runtimev1.UploadRule) string {
	text := r.Box + "/" + r.Prefix
	if r.Suffix != "" {
		text += "…" + r.Suffix
	}
	return text
}

// circle is a shortest way from a rule back to itself, by what starts what at least so likely; nil
// without one. A rule that starts itself is told by checkLoop.
func (s *scope) circle(from int, least likely) []int {
	before := map[int]int{}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for next, w := range s.watchers {
			if _, is := s.watchers[at].starts(w); next == at || is < least {
				continue
			}
			if next == from {
				way := []int{at}
				for at != from {
					at = before[at]
					way = append(way, at)
				}
				slices.Reverse(way)
				return way
			}
			if _, known := before[next]; !known {
				before[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
