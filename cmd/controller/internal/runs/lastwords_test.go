package runs

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

const traceback = "Traceback (most recent call last):\n" +
	"  File \"/app/train.py\", line 7, in <module>\n    main()\n    ~~~~^^\n" +
	"  File \"/app/train.py\", line 3, in main\n    raise ValueError(\"no rows\")\n"

func TestLastWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ log, want string }{
		"nothing":        {"", ""},
		"blank lines":    {"\n \n\t\n", ""},
		"the last line":  {"reading\nno rows in the table\n\n", "no rows in the table"},
		"without an end": {"reading\nlast words", "last words"},
		"a progress bar": {"\r 1%\r 50%\r 99%", "99%"},
		"an exception":   {"reading\n" + traceback + "ValueError: no rows\n", "ValueError: no rows"},
		"a print behind it": {traceback + "ValueError: no rows\nreading\ntraining, epoch 1 of 3: loss 0.71\n",
			"ValueError: no rows"},
		"prints within it": {strings.ReplaceAll(traceback, "\n", "\nrow: 7\n") + "row\nValueError: no rows\nrow\n",
			"ValueError: no rows"},
		"of a module": {traceback + "torch.OutOfMemoryError: CUDA out of memory\n",
			"torch.OutOfMemoryError: CUDA out of memory"},
		"in small letters": {traceback + "struct.error: 4 bytes\nread\n", "struct.error: 4 bytes"},
		"without words":    {traceback + "AssertionError\nread\n", "AssertionError"},
		"of a name of one's own": {traceback + "__main__.TooFew: only 3 rows\nread 3\n",
			"__main__.TooFew: only 3 rows"},
		"print like a name": {traceback + "Epoch: 3\nValueError: no rows\nEpoch: 4\n", "ValueError: no rows"},
		"of several lines": {traceback + "pydantic.ValidationError: 2 errors for Row\nprice\n  Field required\n",
			"pydantic.ValidationError: 2 errors for Row"},
		"the last of two": {traceback + "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n" +
			traceback + "ValueError: no rows\n", "ValueError: no rows"},
		"of a wrong program": {"  File \"/app/train.py\", line 1\n    print(\n         ^\nSyntaxError: '(' was never closed\nstarted\n",
			"SyntaxError: '(' was never closed"},
		"of a group": {"  + Exception Group Traceback (most recent call last):\n  |   File \"t.py\", line 1, in <module>\n" +
			"  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: 1\n",
			"ExceptionGroup: two (2 sub-exceptions)"},
		"one that was ignored": {traceback + "ValueError: no rows\nException ignored in: <function X.__del__ at 0x7f>\n" +
			traceback + "AttributeError: closed\n", "ValueError: no rows"},
		"one of one's own, and one that was ignored": {traceback + "TooFew\nException ignored in: <function X.__del__>\n" +
			traceback + "AttributeError: closed\n", "TooFew"},
		"only one that was ignored": {"Exception ignored in: <function X.__del__>\n" + traceback +
			"AttributeError: closed\nno rows\n", "no rows"},
		"a crash": {"Fatal Python error: Segmentation fault\n\nCurrent thread 0x0 (most recent call first):\n" +
			"  File \"t.py\", line 3 in <module>\nread\n", "Fatal Python error: Segmentation fault"},
		"a name, and no traceback": {"ValueError: no rows, going on\nread\n", "read"},
		"half a traceback":         {traceback, `raise ValueError("no rows")`},
	} {
		if got := lastWords(c.log); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The two streams of a container have no common order in its log: wherever the lines of a real
// Python's traceback come to stand among what it printed, the exception is the reason.
func TestTheExceptionIsFoundInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, end := range []string{`\n`, `\r`} {
		cmd := exec.CommandContext(t.Context(), "python3", filepath.Join("testdata", "lastwords", "chatty.py"), "300",
			end)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err == nil {
			t.Fatal("it has not failed")
		}
		printed, said := lines(&stdout), lines(&stderr)
		for seed := range uint64(300) {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a seed makes the same order again
			at := make([]int, len(said))
			for i := range at {
				at[i] = random.IntN(len(printed) + 1)
			}
			slices.Sort(at)
			var log strings.Builder
			for i, next := 0, 0; i <= len(printed); i++ {
				for ; next < len(at) && at[next] == i; next++ {
					log.WriteString(said[next])
				}
				if i < len(printed) {
					log.WriteString(printed[i])
				}
			}
			if got := lastWords(log.String()); got != "KeyError: 'price'" {
				t.Fatalf("seed %d: %q of\n%s", seed, got, log.String())
			}
		}
	}
}

func lines(b *bytes.Buffer) []string {
	return slices.DeleteFunc(strings.SplitAfter(b.String(), "\n"), func(s string) bool { return s == "" })
}

// What kubelet puts into a pod's status may be all print. Then the log is looked through, once the
// attempt is judged, and as far as it can be had.
func TestTheLogIsLookedThrough(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const printed, raised = "a row that was printed", traceback + "KeyError: 'price'\n"
	long := strings.Repeat(printed+"\n", 85)
	for name, c := range map[string]struct {
		said, log string
		code      int
		settled   time.Time
		reason    string
		want      string
		asked     bool
	}{
		"behind what was printed": {long, raised + long, 200, now, "Error", "KeyError: 'price'", true},
		"behind one long line": {strings.Repeat("x", messageBytes), raised, 200, now, "Error",
			"KeyError: 'price'", true},
		"no exception there":        {long, long + "another line\n", 200, now, "Error", printed, true},
		"it cannot be had":          {long, "no node", 502, now, "Error", printed, true},
		"the status has it":         {traceback + "IOError: x\n" + long, "", 200, now, "Error", "IOError: x", false},
		"the status has all":        {"a row\n", raised, 200, now, "Error", "a row", false},
		"not judged yet":            {long, raised, 200, now.Add(time.Second), "Error", printed, false},
		"killed for want of memory": {long, raised, 200, now, "OOMKilled", printed, false},
	} {
		asked := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = true
			if r.URL.Path != "/api/v1/namespaces/pu-ann/pods/fit-1/log" ||
				r.FormValue("container") != stage.FunctionContainer || r.FormValue("tailLines") != fmt.Sprint(maxLines) {
				t.Errorf("%s: it asks for %s", name, r.URL)
			}
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, c.log)
		}))
		pods, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pu-ann", Name: "fit-1"}}
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: stage.FunctionContainer,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: c.reason,
				Message: c.said}}}}
		a := exited(terminated(functionStatus(pod)))
		a.SettledAt = c.settled
		p := &pass{Reconciler: &Reconciler{Pods: pods}, ctx: t.Context(), now: now}
		p.explain(&a, pod)
		server.Close()
		if a.Part != life.Function || !strings.HasPrefix(a.Message, c.want) || asked != c.asked {
			t.Errorf("%s: %.100q, asked: %v", name, a.Message, asked)
		}
	}
}
