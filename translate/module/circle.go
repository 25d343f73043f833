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

// leaf is a folder of a user's files that a run writes into.
type leaf struct {
	box, path string
	// file is the only one that comes there; empty when that is not known.
	file string
	said string
}

// starts reports that what comes into the folder may start a run by the rule.
func (l leaf) starts(r runtimev1.UploadRule) bool {
	return l.box != "" && l.box == r.Box && strings.HasPrefix(l.path, r.Prefix) &&
		(l.file == "" || strings.HasSuffix(l.path+"run/"+l.file, r.Suffix))
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
	own := leaf{box: spec.DefaultBox, path: name + "/", file: "run.json",
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
	for _, l := range w.leaves {
		if l.starts(w.rule) {
			w.wrong(": a run would start itself again: %s, which the rule watches; "+
				"give the rule a prefix of its own, like incoming/", l.said)
			return
		}
	}
}

// checkCircles finds rules whose runs would start one another for ever. Where their suffixes differ,
// the files that the runs leave may be of another kind, so that there is but a warning.
func checkCircles(s *scope) {
	seen := map[int]bool{} // rules of circles that were told
	for i := range s.watchers {
		circle := s.circle(i)
		if seen[i] || circle == nil {
			continue
		}
		var said []string
		sure := true
		for j, at := range circle {
			w, next := s.watchers[at], s.watchers[circle[(j+1)%len(circle)]]
			l := w.leaves[slices.IndexFunc(w.leaves, func(l leaf) bool { return l.starts(next.rule) })]
			said = append(said, fmt.Sprintf("%s is started by %s, and %s", w.pipeline.Meta.Name.Value,
				watched(w.rule), l.said))
			sure = sure && w.rule.Suffix == s.watchers[i].rule.Suffix
			seen[at] = true
		}
		report, word := s.Warnf, "may"
		if sure {
			report, word = s.Errorf, "would"
		}
		report(s.watchers[i].Position, "%s: runs %s start one another for ever: %s; give one of the rules a prefix "+
			"that no output of the others lies below", s.watchers[i].where, word, strings.Join(said, "; "))
	}
}

func watched(r runtimev1.UploadRule) string {
	text := r.Box + "/" + r.Prefix
	if r.Suffix != "" {
		text += "…" + r.Suffix
	}
	return text
}

// circle is a shortest way from a rule back to itself, by what starts what; nil without one. A rule
// that starts itself is told by checkLoop.
func (s *scope) circle(from int) []int {
	before := map[int]int{}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for next, w := range s.watchers {
			starts := func(l leaf) bool { return l.starts(w.rule) }
			if next == at || !slices.ContainsFunc(s.watchers[at].leaves, starts) {
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
