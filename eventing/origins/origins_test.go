package origins_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/unip-knative/unip/eventing/origins"
)

const app = "https://app.example.org"

func asked(t *testing.T, s *origins.Sites, method, origin string, header ...string) (http.Header, int, bool) {
	t.Helper()
	r := httptest.NewRequest(method, "http://api.example.org/leaf/predict", nil)
	r.Header.Set("Origin", origin)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	answered := s.Tell(w, r)
	return w.Header(), w.Code, answered
}

// Both that a page may read and that it may change something is said by the one list.
func TestOneList(t *testing.T) {
	t.Parallel()
	listed, err := origins.New([]string{app, "http://localhost:3000"})
	if err != nil {
		t.Fatal(err)
	}
	none, err := origins.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		sites  *origins.Sites
		origin string
		want   bool
	}{
		{listed, app, true}, {listed, "http://localhost:3000", true}, {listed, "http://localhost:3001", false},
		{listed, "https://evil.example", false}, {listed, "null", false}, {listed, app + ".evil.example", false},
		{listed, "http://app.example.org", false}, {none, app, false}, {none, "null", false},
	} {
		header, _, answered := asked(t, x.sites, http.MethodPost, x.origin)
		got, want := header.Get("Access-Control-Allow-Origin"), map[bool]string{true: x.origin}[x.want]
		if got != want || answered {
			t.Errorf("%s may read: %q, answered: %v", x.origin, got, answered)
		}
		r := httptest.NewRequest(http.MethodPost, "http://api.example.org/leaf/predict", nil)
		r.Header.Set("Origin", x.origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if err := x.sites.Check(r); (err == nil) != x.want {
			t.Errorf("%s may change: %v", x.origin, err)
		}
		header, code, answered := asked(t, x.sites, http.MethodOptions, x.origin, "Access-Control-Request-Method",
			"PUT",
			"Access-Control-Request-Headers", "authorization,content-type")
		if answered != (x.sites == listed) {
			t.Errorf("%s asks before: answered %v", x.origin, answered)
		}
		said := header.Get("Access-Control-Allow-Origin") == x.origin &&
			header.Get("Access-Control-Allow-Methods") == "PUT" &&
			header.Get("Access-Control-Allow-Headers") == "authorization,content-type"
		if said != x.want || answered && code != http.StatusNoContent {
			t.Errorf("%s asks before: %d %v", x.origin, code, header)
		}
		if header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s gets logins that the browser keeps", x.origin)
		}
	}
	if _, _, answered := asked(t, listed, http.MethodOptions, app); answered {
		t.Error("OPTIONS that is no browser's question is answered")
	}
}

func TestWhatIsNoSite(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"*", "", "null", "app.example.org", app + "/", "https://*.example.org",
		"https://A.example"} {
		if _, err := origins.New([]string{app, s}); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
