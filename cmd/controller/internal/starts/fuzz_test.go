package starts

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"k8s.io/apimachinery/pkg/types"
)

// Whatever is posted in the name of a module: it is answered in one short line, with 4xx where it
// is no event, and looks at nothing but a name of at most 253 bytes in the namespace of the path.
func FuzzReceiver(f *testing.F) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	f.Cleanup(func() { slog.SetDefault(before) })
	const ns, structured = "/namespaces/pu-ann/pipelines/leak/", "application/cloudevents+json"
	for _, s := range [][6]string{
		{ns + "events", "ru.hse.cs.unified-platform.pipeline.run.requested.v1", "run", "r-1", "application/json", "{}"},
		{ns + "events", "dev.knative.sources.ping", "run", "", "", ""},
		{ns + "events", "t", "run", strings.Repeat("a", 254), "", ""},
		{ns + "uploads/0", "t", "user", "../bob", "", ""},
		{ns + "uploads/99999999999999999999", "t", "user", "bob", "", ""},
		{ns + "uploads/-1", "t", "user", "\xff", "", ""}, {ns + "dead-letters", "t", "knativeerrordest", "\x1b[2J\nx",
			"", ""}, {ns + "dead-letters", "t", "run", "r", "", ""},
		{ns + "events", "", "", "", structured,
			`{"specversion":"1.0","type":"t","id":"1","source":"/s","run":"r","subject":"x","data":{}}`},
		{ns + "events", "", "", "", structured, `{"specversion":"1.0","run":{}}`},
		{ns + "events", "", "", "", structured, `{"specversion":"0.3","type":"t","id":"1","source":"/s","run":7}`},
		{ns + "events", "", "", "", "application/cloudevents-batch+json", `[]`},
		{ns + "events", "", "", "", structured, strings.Repeat("[", 5000)},
		{"/namespaces/%2e%2e/pipelines/x%2Fy/events", "t", "run", "r", "", ""},
		{ns + "events", "t", "time", "yesterday", "", ""}, {ns + "events", "t", "", "x", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4], s[5])
	}
	f.Fuzz(func(t *testing.T, path, kind, name, value, contentType, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return // not a request that net/http would hand on
		}
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": kind,
			"Ce-" + name: value, "Content-Type": contentType} {
			if kind != "" || k == "Content-Type" {
				req.Header.Set(k, v)
			}
		}
		looked := 0
		look := func(what types.NamespacedName) {
			if looked++; what.Name == "" || what.Namespace == "" ||
				!strings.HasPrefix(req.URL.Path, "/namespaces/"+what.Namespace+"/pipelines/") {
				t.Errorf("%s looks at %q", path, what)
			}
		}
		h := Receiver{
			Hint: func(_ context.Context, run types.NamespacedName) {
				if look(run); len(run.Name) > 253 {
					t.Errorf("a run with a name of %d bytes", len(run.Name))
				}
			},
			Ping: func(_ context.Context, pipeline types.NamespacedName) { look(pipeline) },
			Upload: func(_ context.Context, namespace, pipeline string, _ int, _, _ string) error {
				look(types.NamespacedName{Namespace: namespace, Name: pipeline})
				return nil
			},
			DeadLetter: func(_ context.Context, f File) error {
				look(types.NamespacedName{Namespace: f.Namespace, Name: "any"})
				return nil
			},
			Leading: func() bool { return true },
		}.Handler()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code >= 500 || looked > 1 || looked > 0 && rec.Code != http.StatusAccepted {
			t.Errorf("%s: %d, looked %d times", path, rec.Code, looked)
		}
		if answer := rec.Body.String(); rec.Code != http.StatusTemporaryRedirect &&
			rec.Code != http.StatusMovedPermanently &&
			(len(answer) > 4096 || strings.ContainsFunc(strings.TrimSuffix(answer, "\n"), unicode.IsControl)) {
			t.Errorf("%s: the answer is %q", path, answer)
		}
	})
}
