package service

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/unip-knative/unip/functions/internal/problem"
)

const originRoutes = `{"apis":[
 {"name":"leaf","kind":"mlComponent","path":"leaf","target":"leaf","timeoutSeconds":30,"auth":{"basic":{"credentials":"users"}}},
 {"name":"open","kind":"mlComponent","path":"open","target":"open","timeoutSeconds":30,"trustedOrigins":["https://app.example.org"]},
 {"name":"files","kind":"files","path":"files","auth":{"basic":{"credentials":"users"}}},
 {"name":"train","kind":"experimentPipeline","path":"train","target":"train","auth":{"basic":{"credentials":"users"}}},
 {"name":"runs","kind":"pipelines","path":"pipelines","auth":{"basic":{"credentials":"users"}}}
],"boxes":["visitors"],"pipelines":["train"]}`

// A page of another site makes the browser of its visitor call, with the login that the browser has
// kept. Nothing that changes something is done then, on no kind of API, also not on an open one.
func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 100)
	m := startWith(t, originRoutes, func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path })
	calls := [][2]string{
		{"POST", "/leaf/predict"}, {"POST", "/pu-ann/leaf/v2/models/leaf/infer"}, {"POST", "/open/predict"},
		{"PUT", "/files/visitors/x/loot"},
		{"DELETE", "/files/visitors/x/"}, {"POST", "/train/run"}, {"POST", "/train"},
		{"POST", "/pipelines/runs/run-1/cancel"},
	}
	pages := map[string][]string{
		"another site":                {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"another site without origin": {"Sec-Fetch-Site", "cross-site"},
		"another host of the site":    {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example"},
		"an unknown word":             {"Sec-Fetch-Site", "friendly"},
		"an old browser":              {"Origin", "https://evil.example"},
		"a sandboxed frame":           {"Origin", "null"},
		"another port":                {"Origin", "http://127.0.0.1:1"},
		"a claimed host": {"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "Forwarded",
			"host=evil.example"},
	}
	for _, c := range calls {
		for name, header := range pages {
			resp, body := m.call(t, c[0], c[1], strings.NewReader("{}"),
				append(header, "user", "ann:secret", "Content-Type", "text/plain")...)
			if wantProblem(t, resp, body, http.StatusForbidden, problem.CrossOrigin); t.Failed() {
				t.Fatalf("%s, %v", name, c)
			}
		}
	}
	if len(reached) > 0 {
		t.Errorf("%d calls reached the component: %s", len(reached), <-reached)
	}
}

// Programs, an API's own pages, and the pages of the API's trusted origins go on as before.
func TestWhoMayChangeSomething(t *testing.T) {
	t.Parallel()
	m := startWith(t, originRoutes, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"openapi":"3.1.0"}`)
	})
	host := strings.TrimPrefix(m.URL, "http://")
	const trusted = "https://app.example.org"
	for _, tc := range []struct {
		why, path string
		header    []string
		status    int
	}{
		{"a program", "/leaf/predict", nil, 200},
		{"a page of the API's host", "/leaf/predict",
			[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://" + host}, 200},
		{"the user's own doing", "/leaf/predict", []string{"Sec-Fetch-Site", "none"}, 200},
		{"a page of the API's host in an old browser", "/leaf/predict", []string{"Origin", "http://" + host}, 200},
		{"a trusted origin", "/open/predict", []string{"Sec-Fetch-Site", "cross-site", "Origin", trusted}, 200},
		{"a trusted origin in an old browser", "/open/predict", []string{"Origin", trusted}, 200},
		{"one like it", "/open/predict", []string{"Sec-Fetch-Site", "cross-site", "Origin", trusted + ".evil.example"},
			403},
		{"without its scheme", "/open/predict",
			[]string{"Sec-Fetch-Site", "cross-site", "Origin", "http://app.example.org"}, 403},
		{"trusted by another API", "/leaf/predict", []string{"Sec-Fetch-Site", "cross-site", "Origin", trusted}, 403},
	} {
		resp, body := m.call(t, "POST", tc.path, strings.NewReader("{}"), append(tc.header, "user", "ann:secret")...)
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.why, resp.StatusCode, body)
		}
	}
	resp, _ := m.call(t, "GET", "/leaf/openapi.json", nil, "user", "ann:secret", "Sec-Fetch-Site", "cross-site",
		"Origin", "https://evil.example")
	if resp.StatusCode != 200 {
		t.Errorf("reading: %d", resp.StatusCode)
	}
}

// A page of a site that an API lists asks before it calls, without a login, and reads the answer,
// whatever it is. To pages of others nothing is said, and without a list the gateway knows no such
// question.
func TestPagesOfListedSitesCall(t *testing.T) {
	t.Parallel()
	m := startWith(t, strings.ReplaceAll(originRoutes, `"name":"files",`, `"name":"files","trustedOrigins":["http://localhost:3000"],`),
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	const app, dev = "https://app.example.org", "http://localhost:3000"
	for _, x := range []struct {
		path, method, origin string
		status               int
		told                 bool
	}{
		{"/open/predict", "POST", app, 204, true},
		{"/pu-ann/open/v2/models/open/infer", "POST", app, 204, true},
		{"/files/visitors/incoming/t.csv", "PUT", dev, 204, true},
		{"/files/visitors/incoming/t.csv", "PUT", app, 204, false},
		{"/open/predict", "POST", dev, 204, false},
		{"/leaf/predict", "POST", app, 405, false},
		{"/nothing/predict", "POST", app, 404, false},
	} {
		resp, body := m.call(t, "OPTIONS", x.path, nil, "Origin", x.origin, "Access-Control-Request-Method", x.method,
			"Access-Control-Request-Headers", "authorization,content-type")
		told := resp.Header.Get("Access-Control-Allow-Origin") == x.origin &&
			resp.Header.Get("Access-Control-Allow-Methods") == x.method &&
			resp.Header.Get("Access-Control-Allow-Headers") == "authorization,content-type"
		if resp.StatusCode != x.status || told != x.told {
			t.Errorf("%+v: %d %v %s", x, resp.StatusCode, resp.Header, body)
		}
	}
	for _, x := range []struct {
		path, origin string
		header       []string
		status       int
		told         bool
	}{
		{"/open/predict", app, nil, 200, true},
		{"/open/nothing", app, nil, 404, false}, // no API
		{"/open/predict", dev, nil, 403, false},
		{"/files/visitors/incoming/", dev, nil, 401, true}, // a page sees that it must log in
		{"/files/visitors/incoming/", dev, []string{"user", "ann:wrong"}, 401, true},
	} {
		method := "POST"
		if strings.HasPrefix(x.path, "/files") {
			method = "GET"
		}
		resp, body := m.call(t, method, x.path, strings.NewReader("{}"), append(x.header, "Origin", x.origin,
			"Sec-Fetch-Site", "cross-site")...)
		told := resp.Header.Get("Access-Control-Allow-Origin") == x.origin
		if resp.StatusCode != x.status || told != x.told {
			t.Errorf("%+v: %d %v %s", x, resp.StatusCode, resp.Header, body)
		}
	}
}
