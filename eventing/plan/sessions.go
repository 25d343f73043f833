package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
)

// Sessions are those that a stage works with, each a file of the stage's Secret: those of fetch
// only read what the stage reads, those of publish write what it writes. A policy has a limit of
// length; what does not fit into one session is in several, and each path says which is its own.
type Sessions struct {
	// Grants of each session, by its file.
	Grants map[string][]databox.Grant
	// Fetch and Publish are the files of the containers; inputs and outputs those of each input and
	// copy by its index among the stage's.
	Fetch, Publish  []string
	inputs, outputs []string
	// runs is the run bucket.
	runs string
	// usages say how full the boxes of copies are, by index as outputs; empty without a copy.
	usages []databox.UsageRef
}

// need is a grant for one variable, and one more that goes with it where it is set.
type need struct {
	what  string
	grant databox.Grant
	with  databox.Grant
}

// MakeSessions says what a stage needs, and nothing more: files and folders by their own paths, of
// the run bucket the stage's own part and those that it reads. It depends on nothing but the run's
// status, so that it is the same when the Job is made and when a session is renewed. An error is
// for good.
func MakeSessions(
	buckets databox.BucketNames, run *runtimev1.PipelineRun, st *runtimev1.StageStatus,
) (Sessions, error) {
	runBucket := buckets.Runs(run.Namespace)
	p := Sessions{Grants: map[string][]databox.Grant{}, runs: runBucket}
	var reads []need
	for _, in := range st.Inputs {
		g := databox.Grant{Bucket: in.Bucket, Access: databox.Read, Prefix: in.Prefix}
		switch {
		case in.Stage != "":
			g.Bucket, g.Prefix = runBucket, stage.Prefix(run.Name, in.Stage)
		case in.Key != "":
			g.Keys = []string{in.Key}
		case in.Whole:
			g.Access = databox.DatasetFiles
		}
		if g.Prefix == "" && len(g.Keys) == 0 && !in.Whole { // which would be a whole box
			return Sessions{}, fmt.Errorf("input %s has no place", in.Name)
		}
		reads = append(reads, need{what: "input " + in.Name, grant: g})
	}
	var err error
	if p.Fetch, p.inputs, err = p.cut("fetch", nil, reads); err != nil {
		return Sessions{}, err
	}
	// The storage copies by itself: whoever may write the copy must be able to read the attempt.
	attempts := []databox.Grant{{Bucket: runBucket, Access: databox.Write, Prefix: stage.Prefix(run.Name, st.Name)}}
	var writes []need
	for _, out := range st.Outputs {
		n := need{what: "output " + out.Name}
		switch {
		case out.Bucket != "" && out.Prefix == "":
			return Sessions{}, fmt.Errorf("output %s has no place", out.Name)
		case out.Bucket != "":
			n.grant = databox.Grant{Bucket: out.Bucket, Access: databox.Copy, Prefix: out.Prefix}
		}
		var usage databox.UsageRef
		if out.Box != "" {
			usage = databox.UsageOf(buckets.System(), run.Namespace, out.Box)
			usage.Capacity = out.Capacity
			n.with = databox.Grant{Bucket: usage.Bucket, Access: databox.Read, Keys: []string{usage.Key}}
		}
		writes, p.usages = append(writes, n), append(p.usages, usage)
	}
	if p.Publish, p.outputs, err = p.cut("publish", attempts, writes); err != nil {
		return Sessions{}, err
	}
	return p, nil
}

// cut divides the needs among as few sessions as their policies allow, a box after the other; each
// session has the base too. It gives the sessions' files, and each need's.
func (p Sessions) cut(container string, base []databox.Grant, needs []need) (files, byNeed []string, err error) {
	byNeed = make([]string, len(needs))
	order := make([]int, 0, len(needs))
	for i, n := range needs {
		if n.grant.Bucket != "" {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return strings.Compare(needs[a].grant.Bucket, needs[b].grant.Bucket)
	})
	open := func(grants []databox.Grant) {
		files = append(files, fmt.Sprintf("%s-%d.json", container, len(files)))
		p.Grants[files[len(files)-1]] = grants
	}
	if len(base) > 0 {
		open(base)
	}
	for _, i := range order {
		var last []databox.Grant
		if len(files) > 0 {
			last = p.Grants[files[len(files)-1]]
		} else {
			open(nil)
		}
		joined := join(last, needs[i])
		_, err := databox.Policy(joined...)
		if errors.Is(err, databox.ErrPolicyTooLong) && len(last) > len(base) {
			joined = join(base, needs[i])
			if _, err = databox.Policy(joined...); err == nil {
				open(nil)
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", needs[i].what, err)
		}
		byNeed[i] = files[len(files)-1]
		p.Grants[byNeed[i]] = joined
	}
	return files, byNeed, nil
}

// join adds what a need wants to the grants of a session.
func join(grants []databox.Grant, n need) []databox.Grant {
	grants = add(grants, n.grant)
	if n.with.Bucket != "" {
		grants = add(grants, n.with)
	}
	return grants
}

// add adds a grant to those of a session. Keys of one bucket stand in one grant, which makes the
// policy shorter.
func add(grants []databox.Grant, g databox.Grant) []databox.Grant {
	same := func(o databox.Grant) bool {
		return o.Bucket == g.Bucket && o.Access == g.Access && o.Prefix == g.Prefix
	}
	joined := slices.Clone(grants)
	i := slices.IndexFunc(joined, same)
	if i < 0 {
		return append(joined, g)
	}
	joined[i].Keys = slices.Clone(joined[i].Keys)
	for _, k := range g.Keys {
		if !slices.Contains(joined[i].Keys, k) {
			joined[i].Keys = append(joined[i].Keys, k)
		}
	}
	return joined
}

// Paths are what the sessions open in the buckets of boxes, without the others: keys and prefixes of
// keys, "" for what is a whole bucket.
func (p Sessions) Paths(others ...string) map[string][]string {
	all := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(p.Grants)) {
		for _, g := range p.Grants[file] {
			all[g.Bucket] = append(all[g.Bucket], g.Keys...)
			if g.Prefix != "" || len(g.Keys) == 0 {
				all[g.Bucket] = append(all[g.Bucket], g.Prefix)
			}
		}
	}
	for _, bucket := range others {
		delete(all, bucket)
	}
	return all
}
