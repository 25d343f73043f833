package runs

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
