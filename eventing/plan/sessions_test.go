package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// wide is a stage that reads n variables.
func wide(n int) *runtimev1.Pipeline {
	var in []string
	for i := range n {
		in = append(in, fmt.Sprintf("v%d", i))
	}
	return newPipeline("train", with("fit: "+strings.Join(in, ", ")+" -> model"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What cannot be granted exactly is refused before anything runs, with the reason and the variable.
func TestWhatCannotBeGrantedExactlyIsRefused(t *testing.T) {
	t.Parallel()
	long := "userdata/" + strings.Repeat("x", 200) + "/" + strings.Repeat(strings.Repeat("y", 229)+"/", 3)
	long = strings.TrimSuffix(long, "/")
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"a star":          {"userdata/a/*.csv", databox.ErrPattern},
		"a question mark": {"userdata/a/?.csv", databox.ErrPattern},
		"a variable":      {"userdata/a/${aws:username}.csv", databox.ErrPattern},
		"too long alone":  {long + "/", databox.ErrPolicyTooLong},
		"a dollar":        {"userdata/a/$x $(y).csv", nil},
		"a long file":     {long, nil},
	} {
		r := resolved(t, newRun(func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs = map[string]runtimev1.InputPath{"v0": {Path: c.path}}
		}), wide(1))
		_, err := MakeSessions(databox.UsualBuckets, r, &r.Status.Stages[0])
		if !errors.Is(err, c.want) || (err != nil && !strings.Contains(err.Error(), "input v0")) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A status without a place is no grant of a whole box.
	r := resolved(t, newRun(), diamond())
	r.Status.Stages[0].Inputs[0].Key = ""
	if p, err := MakeSessions(databox.UsualBuckets, r, &r.Status.Stages[0]); err == nil {
		t.Errorf("%+v", p)
	}
}

// Sessions are the same whenever they are planned: a renewed Secret has the files that the pods
// know.
func TestSessionsArePlannedAlike(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	for i := range r.Status.Stages {
		st := &r.Status.Stages[i]
		first, err := MakeSessions(databox.UsualBuckets, r, st)
		must(t, err)
		for range 20 {
			again, err := MakeSessions(databox.UsualBuckets, r, st)
			must(t, err)
			if fmt.Sprint(again) != fmt.Sprint(first) {
				t.Fatalf("%v, then %v", first, again)
			}
		}
		for _, file := range slices.Concat(first.Fetch, first.Publish) {
			for _, g := range first.Grants[file] {
				if g.Prefix == "" && len(g.Keys) == 0 {
					t.Errorf("stage %s: a whole bucket in %s", st.Name, file)
				}
			}
		}
	}
}

// What a box may hold goes along with where it stands how full it is, for boxes that nobody has counted.
func TestCapacityGoesAlong(t *testing.T) {
	t.Parallel()
	r := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Inputs = map[string]runtimev1.InputPath{"v0": {Path: "userdata/in/table.csv"}}
		r.Spec.Outputs = map[string]string{"model": "userdata/models/"}
	})
	x, err := makePlan(r, []*runtimev1.Pipeline{wide(1)}, func(box string) (Box, error) {
		return Box{Bucket: "b-" + box, Capacity: 1000}, nil
	})
	must(t, err)
	s, err := MakeSessions(databox.UsualBuckets, r, &x.Stages[0])
	must(t, err)
	_, publish := Transfers(r, &x.Stages[0], Attempt{Number: 1}, s)
	if at := publish.Outputs[0].Copies[0].Usage; at == nil || at.Capacity != 1000 || at.Key == "" {
		t.Errorf("%+v", publish.Outputs[0].Copies)
	}
}
