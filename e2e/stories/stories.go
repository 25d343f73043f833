// Package stories is what users do with a module, told by calls of HTTP, and the answers that they get
// wherever it is served: on a cluster, or by `unip dev`.
//
// The module is in testdata/module.yaml, its code in e2e/testdata/echo, of which `make images` makes
// the image. testdata/answers.txt has the answers of all stories, without what is another one each
// time: ids, times, hosts and signatures.
package stories

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Namespace is the module's.
const Namespace = "pu-e2e-pa-stories"

//go:embed testdata/module.yaml
var manifests string

// Manifests are the module's.
func Manifests() string { return strings.ReplaceAll(manifests, "NAMESPACE", Namespace) }

// World is where the module is served.
type World struct {
	// URL is the module's, Host what is called there; "" is the URL's.
	URL, Host string
}

// isCluster reports a cluster, whose ingress tells modules apart by their hosts.
func (w World) isCluster() bool { return w.Host != "" }

// soon bounds what is waited for: on a cluster a run with several pods, one after the other; elsewhere
// the next minute.
func (w World) soon() time.Duration {
	if w.isCluster() {
		return 4 * time.Minute
	}
	return 2 * time.Minute
}

// story is what somebody does.
type story struct {
	name string
	tell func(*teller)
}

// Run tells all stories, and demands the answers of answers.txt. With update it writes them there.
func Run(t *testing.T, w World, update bool) {
	t.Helper()
	file := answersFile(t)
	known, err := readAnswers(file)
	if err != nil && (!update || !errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	var mu sync.Mutex
	told := map[string]string{}
	tell := func(t *testing.T, s story) {
		k := &teller{T: t, world: w}
		s.tell(k)
		got := k.text.String()
		mu.Lock()
		told[s.name] = got
		mu.Unlock()
		diff := cmp.Diff(strings.Split(known[s.name], "\n"), strings.Split(got, "\n"))
		if !update && diff != "" {
			t.Errorf("%s has other answers (-), these came (+):\n%s", file, diff)
		}
	}
	for _, s := range first {
		t.Run(s.name, func(t *testing.T) { tell(t, s) })
	}
	t.Run("stories", func(t *testing.T) {
		for _, s := range all() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				tell(t, s)
			})
		}
	})
	if !update || t.Failed() {
		return
	}
	for name, text := range known { // of stories that were not told, by -run
		if _, is := told[name]; !is {
			told[name] = text
		}
	}
	if err := writeAnswers(file, told); err != nil {
		t.Fatal(err)
	}
}

// AwaitAnswer waits until the module is served at all.
func AwaitAnswer(t *testing.T, w World) {
	t.Helper()
	k := &teller{T: t, world: w}
	k.await("an answer", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/files/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = w.Host
		resp, err := client.Do(r)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusUnauthorized
	})
}

// answersFile is where the answers are, whatever package the test is in.
func answersFile(t *testing.T) string {
	t.Helper()
	for dir, most := ".", 10; most > 0; dir, most = filepath.Join("..", dir), most-1 {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "e2e", "stories", "testdata", "answers.txt")
		}
	}
	t.Fatal("the test is not in the checkout")
	return ""
}

// head is the line before the answers of a story.
var head = regexp.MustCompile(`(?m)^=== (.*)\n`)

func readAnswers(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	at := head.FindAllSubmatchIndex(b, -1)
	for i, m := range at {
		end := len(b)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		known[string(b[m[2]:m[3]])] = string(b[m[1]:end])
	}
	return known, nil
}

func writeAnswers(file string, told map[string]string) error {
	var b strings.Builder
	b.WriteString("What the stories of e2e/stories are answered, on a cluster and by unip dev. Written by\n" +
		"go test ./cmd/unip-dev -run TestAnswers -update\n\n")
	for _, s := range slices.Concat(first, all()) {
		if text, ok := told[s.name]; ok {
			fmt.Fprintf(&b, "=== %s\n%s", s.name, text)
		}
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// all are the stories that are told at once, by what they are about.
func all() []story { return slices.Concat(calls, functions, files, runs) }
