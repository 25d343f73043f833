//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// callersModule has a component and a pipeline, each with an API that passes on who calls and one
// that does not; the second names who may call at all.
const callersModule = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: who, namespace: NS}
spec:
  image: {existingImageName: IMAGE}
  mlService: {inference: 'echo:who'}
  connectedBoxes: [{name: userdata, mountS3Box: {mountPath: /files}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata:
  name: told-api
  namespace: NS
  annotations: {knative.unified-platform.cs.hse.ru/origins: 'https://app.example.org'}
spec:
  published: true
  mlComponent: {name: who}
  restfulApi: {path: told, auth: {basic: {credentials: users}, OIDC}, identityPassThrough: true}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: named-api, namespace: NS}
spec:
  published: true
  mlComponent: {name: who}
  restfulApi: {path: named, auth: {basic: {credentials: users}, NAMED}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: open-api, namespace: NS}
spec:
  published: true
  mlComponent: {name: who}
  restfulApi: {path: open, identityPassThrough: true}
`

const callersOIDC = `oidc: {issuer: 'http://idp.unip-e2e-idp.svc.cluster.local', clientId: end-users}`

// whose writes whose run it is into the output of a stage; "-" for nobody.
const whose = `echo "${UNIP_USER:--}" > "$UNIP_PIPELINE_%s/whose.txt"`

// Who calls is told to a function and to stages where the API says so: by predict, by both paths of
// a run, in every attempt and in the pipeline that a run goes on with, and by an upload. A caller
// whom an API does not name is refused.
func TestCallers(t *testing.T) {
	t.Parallel()
	login := deployIdP(t)
	ann, boris := login("ann", "s3same", "end-users"), login("boris", "s4same", "end-users")
	const ns = "pu-e2e-pa-callers"
	of := func(output string) string { return strings.Replace(whose, "%s", output, 1) }
	passed := func(pipeline string) string {
		return strings.Replace(pipeline, "{credentials: users}}}", "{credentials: users}, identityPassThrough: true}}", 1)
	}
	in := map[string]string{"NS": ns, "IMAGE": echoImage, "OIDC": callersOIDC,
		"NAMED": strings.TrimSuffix(callersOIDC, "}") + `, users: ['oidc:boris']}`}
	components := callersModule
	for name, value := range in {
		components = strings.ReplaceAll(components, name, value)
	}
	// The first attempt fails, and the second knows the user as well. The run goes on with the pipeline
	// report, which has no API of its own.
	const firstFails = `case "$HOSTNAME" in *-1-?????) exit 1;; esac; `
	onUpload := func(prefix string) string {
		return `knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"userdata","prefix":"` + prefix +
			`/","input":"table"}]'`
	}
	tell := pipelineOf(ns, "tell", "table result", onUpload("told"), stage("fit", "table", "result", of("RESULT")))
	report, _, _ := strings.Cut(pipelineOf(ns, "report", "result text", "",
		stage("write", "result", "text", of("TEXT"))), "---\napiVersion: unified-platform.cs.hse.ru/v1\nkind: APIComponent")
	m := applyRuns(t, ns,
		passed(strings.Replace(tell, "  connectedBoxes:", "  continueWith: report\n  connectedBoxes:", 1)),
		"---"+strings.TrimPrefix(report, "---"),
		pipelineOf(ns, "keep", "table result", onUpload("kept"), stage("fit", "table", "result", of("RESULT"))),
		passed(pipelineOf(ns, "again", "table result", "",
			stage("fit", "table", "result", firstFails+of("RESULT"), "retries: 1"))),
		"---"+components)
	call := func(path string, header http.Header, name, secret string, body any) *live.Answer {
		t.Helper()
		a, err := m.Call(t.Context(), live.Request{Method: http.MethodPost, Path: "/" + ns + "/" + path, Header: header,
			User: name, Password: secret, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

	// The function.
	forged := map[string]any{"user": "boris", "inputs": []any{}}
	for what, c := range map[string]struct {
		answer *live.Answer
		want   string
	}{
		"a user":                    {call("told/predict", nil, user, password, forged), user},
		"a user of an issuer":       {call("told/predict", bearer(boris), "", "", map[string]any{}), "oidc:boris"},
		"an API that keeps it":      {call("named/predict", nil, user, password, map[string]any{}), "-"},
		"one that names the user":   {call("named/predict", bearer(boris), "", "", map[string]any{}), "-"},
		"nobody":                    {call("open/predict", nil, "", "", map[string]any{}), "-"},
		"nobody, whoever claims it": {call("open/predict", nil, user, password, map[string]any{}), "-"},
	} {
		var got string
		if err := c.answer.Output("who", &got); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", what, got, err, c.want)
		}
	}
	for origin, listed := range map[string]bool{"https://app.example.org": true, "https://other.example.org": false} {
		callsOfPages(t, m, origin, listed)
	}
	if a := call("named/predict", bearer(ann), "", "", map[string]any{}); a.Status != http.StatusForbidden ||
		problemType(t, a) != "not-allowed" {
		t.Errorf("a caller who is not named: %d %s", a.Status, a.Body)
	}
	// Files are the caller's, whether the function knows the caller or not.
	upload(t, m, "userdata/g/a.txt", "of ann")
	file := map[string]any{"inputs": []live.Variable{{Name: "text", Datatype: "FILE",
		Data: json.RawMessage(`"userdata/g/a.txt"`)}}}
	for _, path := range []string{"named", "told"} {
		if a := call(path+"/predict", nil, user, password, file); a.Status != http.StatusOK {
			t.Errorf("a file by %s: %d %s", path, a.Status, a.Body)
		}
	}

	// The stages.
	upload(t, m, "userdata/in/t.csv", "x")
	told := func(path, file string) string {
		t.Helper()
		b, err := m.Download(t.Context(), user, password, path+file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	const body = `{"inputs":{"table":"userdata/in/t.csv"},"outputs":{"result":"userdata/OUT/"}}`
	for _, c := range []struct{ path, out, want string }{
		{"tell", "a", user}, {"pipelines/tell", "b", user}, {"keep", "c", "-"}, {"pipelines/keep", "d", "-"},
		{"again", "e", user},
	} {
		run := start(t, m, c.path, strings.Replace(body, "OUT", c.out, 1), "")
		awaitRun(t, m, run, runtimev1.Succeeded)
		if got := told("userdata/"+c.out+"/", "whose.txt"); got != c.want {
			t.Errorf("%s: the stage knows %q, want %q", c.path, got, c.want)
		}
		if strings.HasSuffix(c.path, "tell") { // the chain
			if got := told("userdata/tell/"+run+"/text/", "whose.txt"); got != c.want {
				t.Errorf("%s: the stage of the next pipeline knows %q, want %q", c.path, got, c.want)
			}
		}
	}
	for what, path := range map[string]string{"without an API": "pipelines/report/run",
		"that is not there": "pipelines/none/run"} {
		if a := call(path, nil, user, password, json.RawMessage(`{}`)); a.Status != http.StatusNotFound {
			t.Errorf("a pipeline %s: %d %s", what, a.Status, a.Body)
		}
	}
	internal := json.RawMessage(`{"inputs":{"table":"userdata/in/t.csv","text":"userdata/in/t.csv"}}`)
	if a := call("pipelines/tell/run", nil, user, password, internal); a.Status != http.StatusBadRequest {
		t.Errorf("an internal variable: %d %s", a.Status, a.Body)
	}
	if a := call("pipelines/tell/run", nil, "", "", json.RawMessage(body)); a.Status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", a.Status, a.Body)
	}

	// By an upload: the file's owner, where the pipeline's API says so.
	for _, c := range []struct{ prefix, pipeline, output, want string }{
		{"told", "tell", "text", user}, {"kept", "keep", "result", "-"},
	} {
		upload(t, m, "userdata/"+c.prefix+"/t.csv", "x")
		run := uploaded(t, m, c.pipeline)
		awaitRun(t, m, run, runtimev1.Succeeded)
		if got := told("userdata/"+c.pipeline+"/"+run+"/"+c.output+"/", "whose.txt"); got != c.want {
			t.Errorf("by an upload to %s/: %q, want %q", c.prefix, got, c.want)
		}
	}
}

// uploaded is the run of a pipeline that an upload has started.
func uploaded(t *testing.T, m *live.Module, pipeline string) (name string) {
	t.Helper()
	err := live.Await(t.Context(), 2*time.Minute, "a run by an upload", func(ctx ctx) error {
		all, err := m.Runs(ctx)
		for _, r := range all {
			if r.Spec.Pipeline == pipeline && r.Spec.Origin == runtimev1.OriginUpload {
				name = r.Name
				return nil
			}
		}
		return errors.Join(err, errors.New("there is none yet"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// callsOfPages asks as a browser does for a page of a site, and then calls: whether the page may, and
// whether it may read the answer.
func callsOfPages(t *testing.T, m *live.Module, origin string, listed bool) {
	t.Helper()
	send := func(method, name, secret string, header http.Header, body any) *live.Answer {
		t.Helper()
		header.Set("Origin", origin)
		header.Set("Sec-Fetch-Site", "cross-site")
		a, err := m.Call(t.Context(), live.Request{Method: method, Path: "/" + m.Namespace + "/told/predict",
			Header: header, User: name, Password: secret, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if told := a.Header.Get("Access-Control-Allow-Origin") == origin; told != listed {
			t.Errorf("%s of a page of %s: %d %v", method, origin, a.Status, a.Header)
		}
		return a
	}
	asked := send(http.MethodOptions, "", "", http.Header{"Access-Control-Request-Method": {http.MethodPost},
		"Access-Control-Request-Headers": {"authorization,content-type"}}, nil)
	may := asked.Header.Get("Access-Control-Allow-Methods") == http.MethodPost
	if asked.Status != http.StatusNoContent || may != listed {
		t.Errorf("a page of %s that asks: %d %v", origin, asked.Status, asked.Header)
	}
	want := http.StatusForbidden
	if listed {
		want = http.StatusOK
	}
	if a := send(http.MethodPost, user, password, http.Header{}, map[string]any{}); a.Status != want {
		t.Errorf("a page of %s that calls: %d %s, want %d", origin, a.Status, a.Body, want)
	}
	if a := send(http.MethodPost, user, "wrong", http.Header{}, map[string]any{}); listed &&
		a.Status != http.StatusUnauthorized {
		t.Errorf("a page of %s with a wrong password: %d %s", origin, a.Status, a.Body)
	}
}
