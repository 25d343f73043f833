//go:build e2e

package long_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

const slow = `apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata:
  name: slow
  namespace: NAMESPACE
  annotations: {knative.unified-platform.cs.hse.ru/timeout: 600s, knative.unified-platform.cs.hse.ru/workers: '2'}
spec: {image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}, mlService: {inference: 'echo:wait'}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: slow, namespace: NAMESPACE}
spec: {published: true, mlComponent: {name: slow}, restfulApi: {path: slow}}
`

// A call of an awake component may take almost as long as Knative lets it, at the module's own host
// and at the one of all.
func TestACallOfTenMinutes(t *testing.T) {
	t.Parallel()
	const long = 590
	cluster, err := live.Connect()
	must(t, err)
	must(t, cluster.OneHost(t.Context()))
	m, end, err := cluster.Begin(t.Context(), "pu-e2e-pa-slow", slow)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.WithoutCancel(t.Context())))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	own, err := m.OwnHost(t.Context())
	must(t, err)
	call := func(t *testing.T, host string, seconds int) *live.Answer {
		a, err := m.Call(t.Context(), live.Request{
			Method: http.MethodPost, Path: "/" + m.Namespace + "/slow/predict", Host: host,
			Body: map[string]any{"inputs": []map[string]any{{"name": "seconds", "datatype": "FP32", "shape": []int{1},
				"data": []int{seconds}}}},
		})
		must(t, err)
		if a.Status != http.StatusOK || a.Took < time.Duration(seconds)*time.Second {
			t.Errorf("%s answers %d after %s: %s", host, a.Status, a.Took, a.Body)
		}
		return a
	}
	call(t, own, 0) // wakes it
	for name, host := range map[string]string{"own host": own, "one host": live.OneHostName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("answered after %s", call(t, host, long).Took.Round(time.Millisecond))
		})
	}
}
