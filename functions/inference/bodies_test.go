package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// zipped is a text as gzip.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Bodies as people send them: what is a call is answered, and what is none is told from JSON that is
// wrong.
func TestBodiesAsPeopleSendThem(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo", func(o *setup) { o.maxBody = 1 << 20 }).awaitReady()
	const call = `{"inputs":[{"name":"text","datatype":"str","data":"hello"}]}`
	const form, binary = "application/x-www-form-urlencoded", "application/octet-stream"
	part := "--x\r\nContent-Disposition: form-data; name=image\r\n\r\nx\r\n--x--\r\n"
	for name, x := range map[string]struct {
		body   string
		header []string
		status int
		slug   string
		says   string // in the detail
	}{
		"gzip":      {zipped(t, call), []string{"Content-Encoding", "gzip"}, 200, "", ""},
		"no gzip":   {call, []string{"Content-Encoding", "gzip"}, 400, "bad-request", "not gzip"},
		"half gzip": {zipped(t, call)[:30], []string{"Content-Encoding", "gzip"}, 400, "bad-request", "breaks off"},
		"too much": {zipped(t, strings.Repeat(" ", 1<<20)+call), []string{"Content-Encoding", "gzip"}, 413,
			"body-too-large", "1048576"},
		"brotli":     {"\x0b\x02\x80", []string{"Content-Encoding", "br"}, 415, "unsupported-type", "gzip"},
		"a mark":     {"\ufeff" + call, nil, 200, "", ""},
		"a mark, gz": {zipped(t, "\ufeff"+call), []string{"Content-Encoding", "gzip"}, 200, "", ""},
		"UTF-16":     {"\xff\xfe{\x00}\x00", nil, 400, "invalid-json", "UTF-16"},
		"curl -d":    {call, []string{"Content-Type", form}, 200, "", ""},
		"a form":     {"text=hello", []string{"Content-Type", form}, 415, "unsupported-type", "a form"},
		"a file": {part, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415,
			"unsupported-type", "FILE"},
		"an image": {"\x89PNG\r\n\x1a\n", []string{"Content-Type", "image/png"}, 415, "unsupported-type", "image/png"},
		"bytes":    {"\x89PNG\r\n\x1a\n", []string{"Content-Type", binary}, 415, "unsupported-type", binary},
		"unnamed":  {"\x89PNG\r\n\x1a\n", nil, 400, "invalid-json", "FILE"},
	} {
		a := c.predict(x.status, x.body, x.header...)
		if x.status == http.StatusOK {
			if len(a.Outputs) != 1 || a.Outputs[0].Data != "hello" {
				t.Errorf("%s: %s", name, a.body)
			}
			continue
		}
		if a.slug() != x.slug || !strings.Contains(a.Detail, x.says) {
			t.Errorf("%s: %s %q, want %s about %q", name, a.slug(), a.Detail, x.slug, x.says)
		}
		if got := a.header.Get("Accept-Encoding") + a.header.Get("Accept"); x.status == 415 && got == "" {
			t.Errorf("%s: the answer does not say what is taken: %v", name, a.header)
		}
	}
	c.predict(200, call) // nothing is held any more
}

// One slash at the end of a path says nothing.
func TestASlashAtTheEnd(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo").awaitReady()
	for path, want := range map[string]int{"/predict/": 200, "/nothing/": 404} {
		resp, err := client.Post(c.url+path, "application/json", strings.NewReader(`{"inputs":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// A caller that sends all of a body before it reads hears why its call is refused, and its connection
// goes on: the size is more than two sockets hold.
func TestRefusalsComeAfterTheBody(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo", func(o *setup) { o.maxBody = 1 << 20 }).awaitReady()
	const size = 32 << 20
	all := strings.Repeat(" ", size)
	conn := c.dial(t)
	in := bufio.NewReader(conn)
	for _, x := range []struct {
		path, head string
		status     int
		slug       string
	}{
		{"/predict", fmt.Sprintf("Content-Length: %d", size), http.StatusRequestEntityTooLarge, "body-too-large"},
		{"/nothing", fmt.Sprintf("Content-Length: %d", size), http.StatusRequestEntityTooLarge, "body-too-large"},
		{"/predict", "Transfer-Encoding: chunked", http.StatusRequestEntityTooLarge, "body-too-large"},
		{"/nothing", "Transfer-Encoding: chunked", http.StatusNotFound, "not-found"},
	} {
		body := all
		if strings.HasPrefix(x.head, "Transfer") {
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, all)
		}
		head := "POST " + x.path + " HTTP/1.1\r\nHost: x\r\n" + x.head + "\r\n\r\n"
		if _, err := io.WriteString(conn, head+body); err != nil {
			t.Fatalf("%s with %s: %v", x.path, x.head, err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s with %s: %v", x.path, x.head, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != x.status || !strings.Contains(string(b), x.slug) || resp.Close {
			t.Errorf("%s with %s: %d %s %v, the connection ends: %v", x.path, x.head, resp.StatusCode, b, err, resp.Close)
		}
	}
}
