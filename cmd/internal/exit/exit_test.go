package exit_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/unip-knative/unip/cmd/internal/exit"
)

func TestTheOutermostReasonCounts(t *testing.T) {
	t.Parallel()
	wrong := exit.Shown(exit.InputWrong, "the manifests are wrong")
	for name, c := range map[string]struct {
		err   error
		want  exit.Reason
		code  exit.Code
		shown bool
	}{
		"fine":                 {nil, exit.Done, 0, true},
		"of no kind":           {errors.New("no route to host"), exit.Failed, 3, false},
		"usage":                {exit.Errorf(exit.UsageWrong, "unknown flag"), exit.UsageWrong, 2, false},
		"shown":                {wrong, exit.InputWrong, 1, true},
		"within another error": {fmt.Errorf("module: %w", exit.Errorf(exit.Refused, "no")), exit.Refused, 1, false},
		"joined": {errors.Join(nil, exit.Errorf(exit.RunFailed, "it failed")), exit.RunFailed, 1,
			false},
		"for another reason": {exit.Because(exit.Failed, fmt.Errorf("no comparison: %w", wrong)), exit.Failed, 3,
			false},
		"nothing for some reason": {exit.Because(exit.Failed, nil), exit.Done, 0, true},
	} {
		if got, shown := exit.Of(c.err); got != c.want || got.Code() != c.code || shown != c.shown {
			t.Errorf("%s: %v (code %d), shown: %t", name, got, got.Code(), shown)
		}
	}
}

func TestReasonsAreListedByCode(t *testing.T) {
	t.Parallel()
	all := exit.Reasons()
	if !slices.IsSortedFunc(all, func(a, b exit.Reason) int { return int(a.Code() - b.Code()) }) {
		t.Errorf("%v", all)
	}
	for _, r := range all {
		if r.String() == "" {
			t.Errorf("%d has no meaning", r)
		}
	}
}
