package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
)

// asks remembers what the controller was asked for.
type asks struct {
	all    []string
	answer error
}

func (a *asks) put(_ context.Context, box, developer string, asked put.Asked) (string, time.Time, error) {
	a.all = append(a.all, fmt.Sprintf("%s %s %s %d %t", developer, box, asked.Key, asked.Size, asked.Overwrite))
	return "https://s3.example/link", time.Now(), a.answer
}

// developersOf is the gateway of a module whose box weights has developers, with these rules of who may
// call the files.
func developersOf(t *testing.T, p *provider, auth string, a *asks) module {
	t.Helper()
	dir := t.TempDir()
	for _, secret := range []string{"users", "others"} {
		if err := os.MkdirAll(filepath.Join(dir, secret), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"ann", "carl"} {
			if err := os.WriteFile(filepath.Join(dir, secret, user), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	file, err := routes.Decode([]byte(`{"apis":[{"name":"files","kind":"files","path":"files"` + auth +
		`}],"boxes":["herbarium","userdata","weights"],"datasets":["herbarium"],` +
		`"developers":{"weights":["basic:users/ann","oidc:boris"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Passwords: dir, Puts: a.put})
	if err != nil {
		t.Fatal(err)
	}
	g.tokens = bearer.New(p.Client().Transport)
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return module{srv, g, dir}
}

const basicOf = `,"auth":{"basic":{"credentials":%q}}`

// Whom the box names gets a link, for what was asked. Nobody else makes the gateway ask.
func TestDevelopersOfBoxes(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	oidc := func(same bool) string {
		return fmt.Sprintf(`,"auth":{"basic":{"credentials":"users"},"oidc":{"issuer":%q,"clientId":"end-users",`+
			`"userClaim":"preferred_username","userPrefix":"oidc:","sameAsBasic":%t}}`, p.URL, same)
	}
	token := func(user string) string {
		return p.token(map[string]any{"preferred_username": user})
	}
	users, ann := fmt.Sprintf(basicOf, "users"), []string{"user", "ann:secret"}
	for name, c := range map[string]struct {
		auth, method, path string
		header             []string
		status             int
		says, asked        string
	}{
		"a developer": {users, "PUT", "weights:/models/m?size=3", ann, 200,
			"https://s3.example/link", "basic:users/ann weights models/m 3 false"},
		"at the root, again": {users, "PUT", "weights:/m?size=3&overwrite=true", ann, 200,
			"https://s3.example/link", "basic:users/ann weights m 3 true"},
		"encoded": {users, "PUT", "weights%3A/models/%D0%BC?size=3", ann, 200, "link",
			"basic:users/ann weights models/м 3 false"},
		"a developer by a token": {oidc(false), "PUT", "weights:/m?size=3",
			[]string{"Authorization", "Bearer " + token("boris")}, 200, "link", "oidc:boris weights m 3 false"},
		"one who is the same by a password": {oidc(true), "PUT", "weights:/m?size=3",
			[]string{"Authorization", "Bearer " + token("boris")}, 200, "link", "oidc:boris weights m 3 false"},
		"a namesake in another Secret": {fmt.Sprintf(basicOf, "others"), "PUT", "weights:/m?size=3",
			ann, 403, "does not name basic:others/ann", ""},
		"a namesake by a token": {oidc(false), "PUT", "weights:/m?size=3",
			[]string{"Authorization", "Bearer " + token("ann")}, 403, "does not name oidc:ann", ""},
		"a namesake by a token who has the same files": {oidc(true), "PUT", "weights:/m?size=3",
			[]string{"Authorization", "Bearer " + token("ann")}, 403, "does not name oidc:ann", ""},
		"one who calls himself so": {oidc(false), "PUT", "weights:/m?size=3",
			[]string{"Authorization", "Bearer " + token("basic:users/ann")}, 403, "", ""},
		"another user": {users, "PUT", "weights:/m?size=3", []string{"user", "carl:secret"}, 403,
			"basic:users/carl", ""},
		"a wrong password":   {users, "PUT", "weights:/m?size=3", []string{"user", "ann:wrong"}, 401, "", ""},
		"nobody":             {users, "PUT", "weights:/m?size=3", nil, 401, "", ""},
		"an open API":        {"", "PUT", "weights:/m?size=3", nil, 403, "an API with auth", ""},
		"ann at an open one": {"", "PUT", "weights:/m?size=3", ann, 403, "an API with auth", ""},
		"anonymous": {"", "PUT", "weights:/m?size=3", []string{"user", "anonymous:x"}, 403,
			"an API with auth", ""},
		"a box without developers": {users, "PUT", "userdata:/m?size=3", ann, 403,
			"does not name", ""},
		"a dataset":       {users, "PUT", "herbarium:/m?size=3", ann, 403, "can only be read", ""},
		"no box":          {users, "PUT", "none:/m?size=3", ann, 404, "no box", ""},
		"a user's files":  {users, "PUT", "weights:/users/ann/m?size=3", ann, 400, "users/", ""},
		"all users":       {users, "PUT", "weights:/users?size=3", ann, 400, "users/", ""},
		"a folder":        {users, "PUT", "weights:/models/?size=3", ann, 400, "folder", ""},
		"the whole box":   {users, "PUT", "weights:/?size=3", ann, 400, "empty", ""},
		"a way out":       {users, "PUT", "weights:/a/%2e%2e/b?size=3", ann, 400, "segment", ""},
		"a pattern":       {users, "PUT", "weights:/m*?size=3", ann, 400, "rename it", ""},
		"an unknown size": {users, "PUT", "weights:/m", ann, 400, "size", ""},
		"a huge size":     {users, "PUT", "weights:/m?size=6000000000", ann, 400, "at most", ""},
		"to read":         {users, "GET", "weights:/m", ann, 405, "has only PUT", ""},
		"to list":         {users, "GET", "weights:/", ann, 405, "has only PUT", ""},
		"to delete":       {users, "DELETE", "weights:/m", ann, 405, "has only PUT", ""},
	} {
		a := &asks{}
		resp, body := developersOf(t, p, c.auth, a).call(t, c.method, "/pu-ann/files/"+c.path, nil, c.header...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.says) || strings.Join(a.all, "\n") != c.asked {
			t.Errorf("%s: %d %s; asked for %q", name, resp.StatusCode, body, a.all)
		}
	}
}

// What the controller refuses is told; what went wrong is for the log.
func TestRefusedDevelopers(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	for reason, want := range map[string]struct {
		status int
		slug   string
	}{
		put.Exists: {400, "file-exists"}, put.BoxFull: {507, "box-full"}, put.NotNamed: {403, "not-allowed"},
		put.ReadOnly: {403, "box-is-read-only"}, put.StorageError: {503, "unavailable"},
		put.NotUsable: {503, "unavailable"}, put.LinksClosed: {501, "no-upload-links"},
		"": {503, "unavailable"},
	} {
		a := &asks{answer: errors.New("of bucket b")}
		if reason != "" {
			a.answer = &put.RefusedError{Reason: reason, Message: "of bucket b"}
		}
		resp, body := developersOf(t, p, fmt.Sprintf(basicOf, "users"), a).call(t, http.MethodPut,
			"/pu-ann/files/weights:/m?size=3", nil, "user", "ann:secret")
		var problem struct{ Type string }
		if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.StatusCode != want.status ||
			!strings.HasSuffix(problem.Type, want.slug) || want.status == 503 && strings.Contains(body, "bucket") {
			t.Errorf("%s: %d %s", reason, resp.StatusCode, body)
		}
	}
}
