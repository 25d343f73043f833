//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/e2e/live"
)

// A file of the caller's goes in and one comes out; server and function are of different users, and
// only the server has S3's keys.
func TestFilesOfACall(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-values", component{Image: echoImage, Inference: "echo:louder", Files: "other"})
	awaitReady(t, m)
	if err := m.Upload(t.Context(), user, password, "other/letters/%C3%A0%20b.txt", []byte("grüße\n")); err != nil {
		t.Fatal(err)
	}
	file := func(path string) live.Variable {
		data, _ := json.Marshal(path) // strings always encode
		return live.Variable{Name: "text", Datatype: "FILE", Data: data}
	}
	for _, path := range []string{"other/letters/à b.txt", "/" + m.Namespace + "/files/other/letters/%C3%A0%20b.txt"} {
		a := predict(t, m, http.StatusOK, file(path))
		var stored string
		var uids []int
		if err := a.Output("louder", &stored); err != nil {
			t.Fatal(err)
		}
		if err := a.Output("uids", &uids); err != nil {
			t.Fatal(err)
		}
		if len(uids) != 2 || uids[0] == uids[1] {
			t.Errorf("the function's user and the file's are %v, want two different ones", uids)
		}
		got, err := m.Download(t.Context(), user, password, stored)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != "GRÜSSE\n" {
			t.Errorf("%s has %q", stored, got)
		}
	}
	if got := problemType(t, predict(t, m, http.StatusNotFound,
		file("other/letters/none.txt"))); got != "file-not-found" {
		t.Errorf("problem %s of a file that does not exist", got)
	}
	if got := problemType(t, predict(t, m, http.StatusNotFound,
		file("/"+m.Namespace+"/files/weights/letters/a.txt"))); got != "file-not-found" {
		t.Errorf("problem %s of a box that the component is not connected to", got)
	}
}

// The Open Inference Protocol through the gateway, in JSON and in binary; and the metrics, the log
// and the request's id of these calls.
func TestOpenInferenceProtocol(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-v2", echo("echo:doubled"))
	awaitReady(t, m)
	call := func(method, path string, header http.Header, body any) *live.Answer {
		t.Helper()
		a, err := m.Call(t.Context(), live.Request{Method: method, Path: "/" + m.Namespace + "/model" + path,
			User: user, Password: password, Header: header, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
		return a
	}
	if a := call(http.MethodGet, "/v2", nil, nil); !strings.Contains(string(a.Body), "binary_tensor_data") {
		t.Errorf("/v2: %s", a.Body)
	}
	call(http.MethodGet, "/v2/health/ready", nil, nil)
	if a := call(http.MethodGet, "/v2/models/model", nil, nil); !strings.Contains(string(a.Body), `"numbers"`) {
		t.Errorf("the model's metadata: %s", a.Body)
	}
	const infer = "/v2/models/model/infer"
	var numbers []float32
	a := call(http.MethodPost, infer, nil, map[string]any{"inputs": []any{map[string]any{"name": "numbers",
		"datatype": "FP32", "shape": []int{2}, "data": []float32{1, 2.5}}}})
	if err := a.Output("numbers", &numbers); err != nil || !slices.Equal(numbers, []float32{2, 5}) {
		t.Errorf("%v %v", numbers, err)
	}

	id := "e2e-" + rand.String(8)
	head := `{"inputs":[{"name":"numbers","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}],"outputs":[{"name":"numbers","parameters":{"binary_data":true}}]}`
	raw := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32([]byte(head), 0x3f800000), 0x40200000)
	a = call(http.MethodPost, infer, http.Header{
		"Inference-Header-Content-Length": {fmt.Sprint(len(head))}, "Content-Type": {"application/octet-stream"},
		"X-Request-Id": {id},
	}, live.Raw(raw))
	if !bytes.HasSuffix(a.Body, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x40000000),
		0x40a00000)) || a.Header.Get("Inference-Header-Content-Length") == "" {
		t.Errorf("%q %v", a.Body, a.Header)
	}
	if got := a.Header.Get("X-Request-Id"); got != id {
		t.Errorf("the answer's request id is %q, want %q", got, id)
	}

	var pods corev1.PodList
	if err := m.List(t.Context(), &pods, client.InNamespace(m.Namespace),
		client.MatchingLabels{"serving.knative.dev/service": "model"}); err != nil || len(pods.Items) == 0 {
		t.Fatalf("%d pods of the component, %v", len(pods.Items), err)
	}
	// Knative may have made a second pod for the first calls: the calls are in one, or in both.
	calls := 0
	for _, pod := range pods.Items {
		metrics, err := m.Kubectl(t.Context(), "get", "--raw",
			"/api/v1/namespaces/"+m.Namespace+"/pods/"+pod.Name+":9464/proxy/metrics")
		if err != nil {
			t.Logf("%s has no metrics (yet): %v", pod.Name, err) // and so has answered nothing
			continue
		}
		_, count, _ := strings.Cut(metrics,
			`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/v2/models/{model}/infer"} `)
		var n int
		_, _ = fmt.Sscan(count, &n) // no such line is no call
		calls += n
	}
	if calls != 2 {
		t.Errorf("%d calls in the metrics of %d pods, want 2", calls, len(pods.Items))
	}
	for _, container := range []string{"server", "function"} { // the function prints a line in each call
		err := live.Await(t.Context(), 10*time.Second, "waiting for the request's id in the log of "+container,
			func(ctx ctx) error {
				log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "--selector", "serving.knative.dev/service=model",
					"--tail=-1", "-c", container)
				if err == nil && !strings.Contains(log, `"request_id":"`+id+`"`) &&
					!strings.Contains(log, `"request_id": "`+id+`"`) {
					err = fmt.Errorf("not in\n%s", log)
				}
				return err
			})
		if err != nil {
			t.Error(err)
		}
	}
}
