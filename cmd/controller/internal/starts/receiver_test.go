package starts

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/events"
)

// An upload whose event was not taken is started from its dead letter, by names alone, and comes
// again while that cannot be.
func TestDeadLetterOfAnUpload(t *testing.T) {
	t.Parallel()
	var got []File
	var fails error
	h := Receiver{
		Hint:    func(context.Context, types.NamespacedName) { t.Error("a hint of an upload") },
		Leading: func() bool { return true },
		DeadLetter: func(_ context.Context, f File) error {
			got = append(got, f)
			return fails
		},
	}.Handler()
	post := func(path, kind string) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
		for k, v := range map[string]string{"Specversion": "1.0", "Id": "x", "Source": "/s", "Type": kind,
			"Box": "data", "User": "ann", "Subject": "in/a.csv", "Pipeline": "forged"} {
			req.Header.Set("Ce-"+k, v)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec.Code
	}
	const letters = "/namespaces/pu-ann/pipelines/train/dead-letters"
	if code := post(letters, events.ObjectCreated); code != http.StatusAccepted || len(got) != 1 ||
		got[0] != (File{Namespace: "pu-ann", Box: "data", User: "ann", Path: "in/a.csv"}) {
		t.Errorf("%d, %+v", code, got)
	}
	fails = errors.New("the API server is away")
	if code := post(letters, events.ObjectCreated); code != http.StatusServiceUnavailable {
		t.Errorf("answered %d though it was not started", code)
	}
	got = nil
	if code := post(letters, events.ObjectRemoved); code != http.StatusAccepted || len(got) > 0 {
		t.Errorf("a file that was removed: %d, %+v", code, got)
	}
}
