package stories

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// patience bounds a call: on a cluster a function may have to wake first.
	patience = 2 * time.Minute
	// look is the pause between two looks.
	look = 100 * time.Millisecond
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 4 << 20
)

// passwords are those of the Secret users.
var passwords = map[string]string{"ann": "s3same", "boris": "s4same", "clara": "s5same", "dora": "s6same",
	"emil": "s7same"}

// teller tells a story, and writes down what is answered.
type teller struct {
	*testing.T
	world World
	text  strings.Builder
	names []string // what has a name here, and the name, for strings.NewReplacer
}

// call is one call of the module.
type call struct {
	user         string // "" is nobody
	method, path string // below the module's URL
	body         string
	header       http.Header
	password     string // "" is the user's own
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// from gives a member of a JSON answer, as text.
func (a *answer) from(t testing.TB, name string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(a.body, &all); err != nil || all[name] == nil {
		t.Fatalf("no %s in %d %s", name, a.status, a.body)
	}
	return fmt.Sprint(all[name])
}

// do makes a call, and writes nothing down.
func (k *teller) do(c call) *answer {
	k.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(k.Context(), c.method, k.world.URL+c.path, body)
	if err != nil {
		k.Fatal(err)
	}
	r.Host = k.world.Host
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, cmp.Or(c.password, passwords[c.user]))
	}
	a := k.send(r)
	// An empty 502 is the ingress' own: a pod that has just gone took no connection, and no call. Where
	// there is no ingress it is a fault.
	for tries := 0; k.world.isCluster() && a.status == http.StatusBadGateway && len(a.body) == 0 && tries < 2; tries++ {
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				k.Fatal(err)
			}
		}
		a = k.send(r)
	}
	return a
}

// client follows no redirects: they are answers.
var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (k *teller) send(r *http.Request) *answer {
	k.Helper()
	resp, err := client.Do(r)
	if err != nil {
		k.Fatal(err)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		k.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return &answer{resp.StatusCode, resp.Header, b}
}

// call makes a call, and writes down what is answered.
func (k *teller) call(c call) *answer {
	k.Helper()
	a := k.do(c)
	k.tell(c, a)
	return a
}

// tell writes a call and its answer down.
func (k *teller) tell(c call, a *answer) {
	who := "nobody"
	if c.user != "" {
		who = c.user
	}
	fmt.Fprintf(&k.text, "> %s %s by %s\n", c.method, k.plain(c.path), who)
	k.write(a)
}

// predicts waits until the newest model answers a call of ann's with what contains part, and writes
// that answer down: the next one may be of a model that is newer again.
func (k *teller) predicts(what, path, body, part string) *answer {
	k.Helper()
	c := call{user: "ann", method: http.MethodPost, path: path, body: body}
	var a *answer
	k.await(what, func() bool {
		a = k.do(c)
		return a.status == http.StatusOK && a.header.Get("Unip-Model-State") == "" &&
			strings.Contains(string(a.body), part)
	})
	k.tell(c, a)
	return a
}

// get and post are the usual calls, by ann.
func (k *teller) get(path string) *answer {
	k.Helper()
	return k.call(call{user: "ann", method: http.MethodGet, path: path})
}

func (k *teller) post(path, body string) *answer {
	k.Helper()
	return k.call(call{user: "ann", method: http.MethodPost, path: path, body: body})
}

// follow uses a link that the file API gave, and writes down what the storage answers. Of what is
// no success it is the status: what an S3 server says beside is its own.
func (k *teller) follow(method, link, body string, header http.Header) {
	k.Helper()
	r, err := http.NewRequestWithContext(k.Context(), method, link, strings.NewReader(body))
	if err != nil {
		k.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	a := k.send(r)
	fmt.Fprintf(&k.text, "> %s %s\n", method, k.plain(link))
	if a.status >= http.StatusMultipleChoices {
		fmt.Fprintf(&k.text, "< %d\n\n", a.status)
		return
	}
	k.write(a, "Content-Disposition", "Content-Range", "Content-Type", "Etag")
}

// matters are the headers of answers that are written down.
var matters = []string{
	"Accept", "Accept-Encoding", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age", "Allow", "Cache-Control",
	"Content-Disposition", "Content-Range", "Content-Type", "Etag", "Location", "Retry-After", "Unip-Model-Etag",
	"Unip-Model-State", "Www-Authenticate", "X-Content-Type-Options",
}

// write writes an answer down: status, headers, and the body but for that of a redirect.
func (k *teller) write(a *answer, headers ...string) {
	fmt.Fprintf(&k.text, "< %d\n", a.status)
	if len(headers) == 0 {
		headers = matters
	}
	for _, name := range headers {
		for _, value := range a.header.Values(name) {
			if name == "Unip-Model-Etag" {
				value = "<etag>"
			}
			fmt.Fprintf(&k.text, "%s: %s\n", name, k.plain(value))
		}
	}
	body := string(a.body)
	if a.status/100 == 3 {
		body = ""
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if body != "" && d.Decode(&value) == nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(plainTexts(value, k.plain)); err != nil {
			k.Fatal(err)
		}
		body = lists.ReplaceAllStringFunc(b.String(), func(list string) string {
			return blanks.ReplaceAllString(list, " ")
		})
	} else {
		body = k.plain(body)
	}
	if body = strings.TrimSuffix(body, "\n"); body != "" {
		k.text.WriteString(body + "\n")
	}
	k.text.WriteString("\n")
}

// specification asks for one, and writes each of its parts into one line.
func (k *teller) specification(path string) {
	k.Helper()
	a := k.do(call{user: "ann", method: http.MethodGet, path: path})
	var all map[string]any
	if err := json.Unmarshal(a.body, &all); err != nil {
		k.Fatalf("%s: %v: %s", path, err, a.body)
	}
	fmt.Fprintf(&k.text, "> GET %s by ann\n", path)
	k.write(&answer{a.status, a.header, nil})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts, ok := plainTexts(all[name], k.plain).(map[string]any)
		if !ok {
			parts = map[string]any{"": all[name]}
		}
		for _, part := range slices.Sorted(maps.Keys(parts)) {
			b, err := json.Marshal(parts[part])
			if err != nil {
				k.Fatal(err)
			}
			k.note("%s %s: %s", name, part, b)
		}
	}
}

// Lists of numbers and of names stand in one line.
var (
	lists  = regexp.MustCompile(`\[[^\[\]{}]*\]`)
	blanks = regexp.MustCompile(`\n\s*`)
)

// plainTexts changes the texts of a JSON value.
func plainTexts(value any, change func(string) string) any {
	switch x := value.(type) {
	case string:
		return change(x)
	case []any:
		for i := range x {
			x[i] = plainTexts(x[i], change)
		}
	case map[string]any:
		// a pod waits for a node, and a process for none
		delete(x, "waiting_since")
		delete(x, "waited_seconds")
		for name, v := range x {
			if text, ok := v.(string); ok && name == "next" && text != "" {
				v = "<next>"
			}
			x[name] = plainTexts(v, change)
		}
	}
	return value
}

// What is another one each time.
var (
	times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	ids   = regexp.MustCompile(`\b[A-Z2-7]{26}\b`)
	// A Python with orjson says in other words what is wrong with a text that is no JSON.
	noJSON = regexp.MustCompile(`(is not JSON: )[^:]*`)
)

// plain is a text without it.
func (k *teller) plain(s string) string {
	if u, err := url.Parse(s); err == nil && u.Query().Has("X-Amz-Signature") {
		return plainLink(u)
	}
	s = strings.NewReplacer(k.names...).Replace(s)
	if k.world.Host != "" {
		s = strings.ReplaceAll(s, k.world.Host, "<host>")
	}
	if u, err := url.Parse(k.world.URL); err == nil {
		s = strings.ReplaceAll(s, u.Host, "<host>")
	}
	s = noJSON.ReplaceAllString(s, "$1<words>")
	return ids.ReplaceAllString(times.ReplaceAllString(s, "<time>"), "<id>")
}

// plainLink is a link without its signature: which object it is for, and what is signed.
func plainLink(u *url.URL) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	link := "<link to " + key
	q := u.Query()
	var names []string
	for name := range q {
		if !strings.HasPrefix(name, "X-Amz-") || name == "X-Amz-SignedHeaders" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		link += " " + name + "=" + q.Get(name)
	}
	return ids.ReplaceAllString(link, "<id>") + ">"
}

// named has a name stand for a value in what is written down.
func (k *teller) named(value, name string) { k.names = append(k.names, value, "<"+name+">") }

// await waits until something is so.
func (k *teller) await(what string, is func() bool) {
	k.Helper()
	soon := k.world.soon()
	for deadline := time.Now().Add(soon); !is(); time.Sleep(look) {
		if time.Now().After(deadline) {
			k.Fatalf("%s: not within %s", what, soon)
		}
	}
}

// upload puts a file, and writes nothing down.
func (k *teller) upload(user, path, content string) {
	k.Helper()
	a := k.do(call{user: user, method: http.MethodPut, path: "/files/" + path + "?overwrite=true"})
	r, err := http.NewRequestWithContext(k.Context(), http.MethodPut, a.from(k, "presigned_put_url"),
		strings.NewReader(content))
	if err != nil {
		k.Fatal(err)
	}
	if a = k.send(r); a.status != http.StatusOK {
		k.Fatalf("the storage answers %d: %s", a.status, a.body)
	}
}

// secondAfter waits until a file is as old as a second of the clock: S3 tells times in seconds, so
// that the same content before would be no other version.
func (k *teller) secondAfter(user, path string) {
	k.Helper()
	k.await("another second than that of "+path, func() bool {
		a := k.do(call{user: user, method: http.MethodGet, path: "/files/" + path})
		now, err := http.ParseTime(a.header.Get("Date"))
		if err != nil {
			k.Fatal(err)
		}
		written, err := time.Parse(time.RFC3339, a.from(k, "last_modified"))
		if err != nil {
			k.Fatal(err)
		}
		return now.After(written)
	})
}

// content is that of a file.
func (k *teller) content(user, path string) string {
	k.Helper()
	a := k.do(call{user: user, method: http.MethodGet, path: "/files/" + path})
	r, err := http.NewRequestWithContext(k.Context(), http.MethodGet, a.from(k, "presigned_get_url"), nil)
	if err != nil {
		k.Fatal(err)
	}
	if a = k.send(r); a.status != http.StatusOK {
		k.Fatalf("the storage answers %d: %s", a.status, a.body)
	}
	return string(a.body)
}

// shows writes down what a file has in it.
func (k *teller) shows(user, path string) {
	k.Helper()
	fmt.Fprintf(&k.text, "the file %s of %s: %s\n\n", k.plain(path), user, k.plain(k.content(user, path)))
}

// note writes something else down.
func (k *teller) note(format string, args ...any) { fmt.Fprintf(&k.text, format+"\n\n", args...) }

// ended waits until a run has ended.
func (k *teller) ended(user, run string) {
	k.Helper()
	k.await("run "+run, func() bool {
		a := k.do(call{user: user, method: http.MethodGet, path: "/pipelines/runs/" + run})
		return a.status == http.StatusOK &&
			slices.Contains([]string{"Succeeded", "Failed", "Cancelled"}, a.from(k, "status"))
	})
}
