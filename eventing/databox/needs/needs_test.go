package needs_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox/needs"
)

// Each need is told in full, by a name of its own.
func TestNeeds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, n := range needs.Needs {
		if n.Name == "" || n.For == "" || n.Without == "" || seen[n.Name] {
			t.Errorf("%+v", n)
		}
		if seen[n.Name] = true; n.ClosesUploads && !n.Must {
			t.Errorf("%s closes uploads, and unip can do without", n.Name)
		}
		if got, ok := needs.Of(n.Name); !ok || got != n {
			t.Errorf("%s: %+v", n.Name, got)
		}
	}
}

// What is written is what is read, while it is written and between lines of others.
func TestReport(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	met, lacks := needs.Copy.Result(needs.Met, ""), needs.LinkCopies.Result(needs.NotMet, "200 \x1b[2J\nOK")
	if strings.ContainsAny(lacks.Answer, "\x1b\n") || lacks.Follows == "" || !lacks.Lacks() || met.Lacks() {
		t.Errorf("%+v", lacks)
	}
	came := make(chan needs.Result, 2)
	go func() {
		_, _ = io.WriteString(w, "{\"level\":\"INFO\",\"msg\":\"begins\"}\nno JSON\n\n")
		_ = needs.WriteResult(w, met)
		<-came // told before the end
		_ = needs.WriteResult(w, lacks)
		_ = needs.WriteEnd(w, needs.End{Left: "bucket b"})
	}()
	var all []needs.Result
	end, err := needs.ReadReport(r, func(x needs.Result) {
		all = append(all, x)
		came <- x
	})
	if err != nil || !end.Done || end.Left != "bucket b" || len(all) != 2 || all[0] != met || all[1] != lacks {
		t.Errorf("%+v %+v %v", all, end, err)
	}
	if _, err := needs.ReadReport(strings.NewReader("{}\n"), nil); !errors.Is(err, needs.ErrCutOff) {
		t.Errorf("a report without an end: %v", err)
	}
}

// The table has a line for each result, and says what follows where something is lacking.
func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := needs.Table(&b, []needs.Result{
		needs.Copy.Result(needs.Met, ""), needs.Sessions.Result(needs.NotMet, "501 NotImplemented"),
		needs.Told.Result(needs.NotTried, "there is no receiver"),
	}); err != nil {
		t.Fatal(err)
	}
	const want = `met        copy
not met    sessions            501 NotImplemented
not tried  notifications come  there is no receiver

sessions: s3.sts.none: true, and a pair of keys of its own for each box; a box without is not Ready
  needed for: each pod holds keys of an hour for what it does (STS AssumeRole with a session policy)
`
	if b.String() != want {
		t.Errorf("%s\nwant:\n%s", b.String(), want)
	}
}
