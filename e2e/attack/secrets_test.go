//go:build e2e

package attack

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// kept are the values that nobody outside of unip's own containers may see, and where each lies:
// keys and sessions of the storage, the modules' keys, passwords.
func (w *world) kept(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	keep := func(value, place string) {
		if len(value) >= 8 { // no word that comes up by itself
			values[value] = place
		}
	}
	for _, ns := range []string{namespace, neighbour, names.SystemNamespace} {
		var secrets corev1.SecretList
		if err := w.List(t.Context(), &secrets, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets.Items {
			for k, v := range s.Data {
				place := ns + "/" + s.Name + " " + k
				var document map[string]any
				switch {
				case k == "accessKeyId": // a name: logs say who called
				case json.Unmarshal(v, &document) == nil:
					sessionsIn(document, func(value string) { keep(value, place) })
				default:
					keep(string(v), place)
					keep(base64.StdEncoding.EncodeToString(v), place)
					keep(base64.RawURLEncoding.EncodeToString(v), place)
				}
			}
		}
	}
	if len(values) < 10 {
		t.Fatalf("only %d secret values were found: the test does not see what it should", len(values))
	}
	return values
}

// sessionsIn finds the secret parts of sessions in a document.
func sessionsIn(v any, found func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && (k == "secretAccessKey" || k == "sessionToken") {
				found(s)
			}
			sessionsIn(x, found)
		}
	case []any:
		for _, x := range v {
			sessionsIn(x, found)
		}
	}
}

// hidden is Python that looks for values, which come backwards so that it does not find itself, in
// what a user's container can read.
const hidden = `
import os, stat
wanted = {v[::-1].encode(): n for n, v in given}
def files(top):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                s = os.lstat(path)
                if stat.S_ISREG(s.st_mode) and s.st_size <= 1 << 20:
                    yield path
            except OSError:
                pass
def places():
    for p in os.listdir("/proc"):
        if p.isdigit():
            for name in ("environ", "cmdline", "mountinfo"):
                yield "/proc/%s/%s" % (p, name)
    for top in ("/unip", "/run", "/etc", "/tmp", "/var", "/root", "/home", "/app", "/mnt", "/opt", "/srv", "/dev/shm"):
        yield from files(top)
found = []
looked = 0
for path in places():
    try:
        with open(path, "rb") as f:
            content = f.read(1 << 20)
    except OSError:
        continue
    looked += 1
    found += [path + " holds " + n for v, n in wanted.items() if v in content]
if looked < 10:
    found.append("only %d files could be read" % looked)
`

// backwards is what hidden works on: pairs of place and value.
func backwards(values map[string]string) (given [][2]string) {
	for value, place := range values {
		b := []byte(value)
		slices.Reverse(b)
		given = append(given, [2]string{place, string(b)})
	}
	return given
}

func printable(values map[string]string) map[string]string {
	clean := map[string]string{}
	for value, place := range values {
		// JSON carries the others otherwise
		if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			clean[value] = place
		}
	}
	return clean
}

// No key, session or password lies where a function or a stage can read it.
func TestFunctionFindsNoSecret(t *testing.T) {
	t.Parallel()
	w := enter(t)
	values := printable(w.kept(t))
	tried(t, len(values))
	var found []string
	python(t, w.Module, "open", "", hidden+"answer = found", backwards(values), &found)
	if len(found) > 0 {
		t.Errorf("the function found %v", found)
	}
}

func TestStageFindsNoSecret(t *testing.T) {
	t.Parallel()
	w := enter(t)
	values := printable(w.kept(t))
	tried(t, len(values))
	given, err := json.Marshal(backwards(values))
	if err != nil {
		t.Fatal(err)
	}
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	run := w.ended(t, w.start(t, "ann", "import json\ngiven = json.loads(r'''"+string(given)+"''')\n"+hidden+`
json.dump(found, open(os.environ["UNIP_PIPELINE_RES"] + "/found", "w"))
`))
	if got := w.published(t, "ann", run); got != "found: [] <nil>\n" {
		t.Errorf("the stage found %s (%s)", got, run.Status.Message)
	}
}

// Without a key the storage and the API server give a function nothing.
func TestFunctionAsksWithoutAKey(t *testing.T) {
	t.Parallel()
	w := enter(t)
	_, session, err := w.Bucket(t.Context(), "userdata")
	if err != nil {
		t.Fatal(err)
	}
	bucket := session.Endpoint + "/" + databox.UsualBuckets.Box(namespace, "userdata")
	const api = "https://kubernetes.default.svc"
	urls := []string{
		session.Endpoint + "/", bucket, bucket + "?list-type=2", bucket + "?policy", bucket + "?acl",
		bucket + "?tagging",
		bucket + "/users/bob/file_groups/in/secret.csv", bucket + "/" + modelsKey,
		bucket + "/users/bob/file_groups/in/secret.csv?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x",
		api + "/api/v1/secrets", api + "/api/v1/namespaces/" + namespace + "/secrets",
		api + "/api/v1/namespaces/" + namespace + "/secrets/" + names.ModuleKey,
		api + "/api/v1/namespaces/" + namespace + "/pods", api + "/api/v1/namespaces/unip-system/configmaps",
		api + "/apis/unified-platform.cs.hse.ru/v1/databoxes", api + "/api/v1/nodes",
	}
	tried(t, len(urls))
	const code = `
import ssl, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor
trust = ssl._create_unverified_context()
def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=10, context=trust if url.startswith("https") else None) as a:
            return [a.status, a.read(10000).decode("utf-8", "replace")]
    except urllib.error.HTTPError as e:
        return [e.code, e.read(10000).decode("utf-8", "replace")]
    except OSError as e:
        return [0, str(e)]
with ThreadPoolExecutor(8) as pool:
    answer = list(pool.map(ask, given))
`
	var got []outcome
	python(t, w.Module, "open", "", code, urls, &got)
	if len(got) != len(urls) {
		t.Fatalf("%d of %d answers", len(got), len(urls))
	}
	for i, o := range got {
		check(t, urls[i], o.Status, o.Body, 400, 401, 403, 0) // 0: there is no way to it
	}
}

// What Kubernetes, the logs and the APIs tell holds none of the secret values.
func TestTextsHoldNoSecret(t *testing.T) {
	t.Parallel()
	w := enter(t)
	values := w.kept(t)
	texts := map[string]string{}
	kubectl := func(args ...string) {
		out, err := w.Kubectl(t.Context(), args...)
		if err != nil {
			t.Logf("kubectl %v: %v", args, err) // what has come is looked at
		}
		texts["kubectl "+strings.Join(args, " ")] = out
	}
	const (
		core = "configmaps,pods,jobs,services,serviceaccounts,events,networkpolicies,roles,rolebindings,deployments"
		ours = "databoxes.unified-platform.cs.hse.ru,pipelines.runtime.unified-platform.cs.hse.ru,pipelineruns.runtime.unified-platform.cs.hse.ru"
		kn   = "services.serving.knative.dev,revisions.serving.knative.dev,brokers.eventing.knative.dev,triggers.eventing.knative.dev"
	)
	for _, ns := range []string{namespace, neighbour, names.SystemNamespace} {
		kubectl("-n", ns, "get", core, "-o", "yaml")
		kubectl("-n", ns, "logs", "-l", "!unip.example/none", "--all-containers", "--tail=-1", "--ignore-errors")
		if ns != names.SystemNamespace {
			kubectl("-n", ns, "get", ours, "-o", "yaml")
			kubectl("-n", ns, "get", kn, "-o", "yaml")
		}
	}
	for _, path := range []string{
		"files/userdata/in/", "files/userdata/in/none", "files/nothing/in/", "pipelines/runs", "pipelines/runs/none",
		"stage/openapi.json",
		"open/openapi.json", "closed/openapi.json", "open/v2/models/model", "open/metrics", "healthz", "readyz",
	} {
		a := w.call(t, http.MethodGet, "ann", path, nil)
		texts["GET "+path] = fmt.Sprint(a.Header, string(a.Body))
	}
	// A link shows the session's token, as docs/security.md says, and not its key.
	get, put := w.links(t, "ann", annsFile)
	texts["links"] = get + put
	tried(t, len(texts))
	size := 0
	for what, text := range texts {
		size += len(text)
		for value, place := range values {
			if what == "links" && strings.Contains(place, "-links") && len(value) > 100 {
				continue
			}
			if strings.Contains(text, value) {
				t.Errorf("%s: there is %s", what, place)
			}
		}
	}
	if size < 100_000 {
		t.Errorf("only %d bytes were looked at", size)
	}
}
