package service

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// Every API has a document that a client finds the API by: what it describes is published, at the
// path that it gives, with the logins that the API takes.
func TestDocumentsDescribeWhatIsPublished(t *testing.T) {
	t.Parallel()
	m := startWith(t, originRoutes, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"openapi":"3.1.0","info":{"title":"leaf","version":"v1"},"paths":{`+
			`"/predict":{"post":{"responses":{}}},"/v2/models/leaf/infer":{"post":{"responses":{}}},"/v2":{"get":{"responses":{}}}}}`)
	})
	values := strings.NewReplacer("{box}", "visitors", "{group}", "g", "{path}", "g/f", "{run}", "r-1",
		"{pipeline}", "train")
	for path, auth := range map[string]bool{"/leaf": true, "/open": false, "/files": true, "/train": true,
		"/pipelines": true} {
		for _, prefix := range []string{"/pu-ann", ""} {
			at := prefix + path + "/openapi.json"
			resp, body := m.call(t, http.MethodGet, at, nil, "user", "ann:secret")
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: %d %v %s", at, resp.StatusCode, resp.Header, body)
			}
			document, err := openapi3.NewLoader().LoadFromData([]byte(body))
			if err != nil {
				t.Fatalf("%s: %v\n%s", at, err, body)
			}
			if len(document.Servers) != 1 || document.Servers[0].URL != prefix+path {
				t.Errorf("%s: servers %v", at, document.Servers)
			}
			said := len(document.Security) == 1 && document.Components.SecuritySchemes["basic"] != nil
			if said != auth {
				t.Errorf("%s: logins %v %v", at, document.Security, document.Components)
			}
			for below, item := range document.Paths.Map() {
				for method := range item.Operations() {
					real := document.Servers[0].URL + values.Replace(below)
					found, ok := m.gateway.table.Find(method, real)
					if !ok || !strings.Contains(strings.Join(found.Methods, " "), method) {
						t.Errorf("%s describes %s %s, which is not published", at, method, real)
					}
				}
			}
			resp, body = m.call(t, http.MethodHead, at, nil, "user", "ann:secret")
			if resp.StatusCode != http.StatusOK || body != "" {
				t.Errorf("HEAD %s: %d %q", at, resp.StatusCode, body)
			}
		}
	}
	resp, body := m.call(t, http.MethodGet, "/files/openapi.json", nil)
	wantProblem(t, resp, body, http.StatusUnauthorized, problem.Unauthorized)
}

// A document that is none is not passed on.
func TestADocumentThatIsNone(t *testing.T) {
	t.Parallel()
	m := startWith(t, originRoutes, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	resp, body := m.call(t, http.MethodGet, "/open/openapi.json", nil)
	wantProblem(t, resp, body, http.StatusServiceUnavailable, problem.Unavailable)
}

// A problem says which path was called, wherever it was noticed.
func TestInstanceIsTheCallersPath(t *testing.T) {
	t.Parallel()
	m := start(t, nil) // the component does not answer
	for _, path := range []string{"/pu-ann/open/predict", "/open/predict", "/nothing", "/pu-ann/leaf/predict"} {
		_, body := m.call(t, http.MethodPost, path, strings.NewReader("{}"))
		var p problem.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Instance != path {
			t.Errorf("%s: %s", path, body)
		}
	}
}
