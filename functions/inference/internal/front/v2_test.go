package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/unip-knative/unip/functions/inference/internal/pool"
	"github.com/unip-knative/unip/functions/internal/problem"
)

func TestReadAlignsBinaryTensors(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"{}", "{\"a\":1234567890}", strings.Repeat(" ", 31), strings.Repeat(" ", 33)} {
		for _, tail := range []string{"", "\x00binary"} {
			var b bytes.Buffer
			f := form{v2: true, component: "leaf", head: len(head)}
			if err := f.readBody(&b, iotest.OneByteReader(strings.NewReader(head+tail))); err != nil {
				t.Fatal(err)
			}
			if f.padded()%alignment != 0 || f.padded()-len(head) >= alignment ||
				b.String() != head+strings.Repeat(" ", f.padded()-len(head))+tail {
				t.Errorf("%q and %q were read as %q", head, tail, b.String())
			}
		}
	}
}

func TestReadOfABodyThatIsTooShort(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := (form{head: 3}).readBody(&b, strings.NewReader("{}")); !errors.Is(err, errHead) {
		t.Error(err)
	}
	if err := (form{head: 3}).readBody(&b, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err,
		io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// A worker's meta says where binary tensors begin, or which numbers belong into the JSON. An answer
// that is not what its meta says is none.
func TestRespond(t *testing.T) {
	t.Parallel()
	const none = "none"
	for meta, want := range map[string]string{
		"": "", "{}": "", `{"json_size":0}`: "", `{"json_size":-1}`: "", `{"json_size":2}`: "2", `{"json_size":3}`: "3",
		`{"json_size":4}`: "", `{"files":[]}`: "",
		"x": none, "[]": none, `{"json_size":"2"}`: none, `{"numbers":1}`: none, `{"numbers":[[0,"d",1]]}`: none,
		`{"numbers":[[0,"x",1]]}`: none, `{"numbers":[[3,"b",1]]}`: none, `{"numbers":[[-1,"b",1]]}`: none,
		`{"numbers":[[0,"b",-1]]}`: none, `{"numbers":[[0,"b",4]]}`: none, `{"numbers":[[2,"b",0],[1,"b",0]]}`: none,
		`{"numbers":[[0,"",1]]}`: none, `{"numbers":[[0,"bb",1]]}`: none,
		`{"numbers":[[0,"q",9223372036854775807]]}`: none,
	} {
		rec := httptest.NewRecorder()
		server(t).respond(rec, httptest.NewRequest(http.MethodPost, "/", nil), form{v2: true},
			pool.Answer{Meta: []byte(meta), Body: []byte("{}x")})
		h := rec.Header()
		if want == none {
			if rec.Code != http.StatusInternalServerError || h.Get("Content-Type") != problem.ContentType {
				t.Errorf("%s: %d %s", meta, rec.Code, rec.Body)
			}
			continue
		}
		if rec.Code != 200 || h.Get(headLength) != want ||
			(h.Get("Content-Type") != "application/json") != (want != "") ||
			h.Get("Content-Length") != "3" || rec.Body.String() != "{}x" {
			t.Errorf("%s: %d %v %s", meta, rec.Code, h, rec.Body)
		}
	}
	rec := httptest.NewRecorder()
	server(t).respond(rec, httptest.NewRequest(http.MethodPost, "/", nil), form{},
		pool.Answer{Meta: []byte(`{"numbers":[[1,"b",2],[2,"B",1]]}`), Body: []byte("\xff\x07\xff{}")})
	if rec.Body.String() != "{[-1,7]}[255]" || rec.Header().Get("Content-Length") != "13" {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
}

// FuzzHead gives the header and the body of a call: whatever they are, the worker is told of JSON
// that is there whole, with the binary tensors behind it as they were.
func FuzzHead(f *testing.F) {
	f.Add("2", "{}binary")
	f.Add("9", "{}")
	f.Add("-1", "{}")
	f.Add("67108865", "")
	f.Add("", "{}")
	f.Fuzz(func(t *testing.T, header, body string) {
		for _, length := range []int64{-1, int64(len(body))} {
			head, err := headSize([]string{header}, length)
			if err != nil {
				continue
			}
			var b bytes.Buffer
			form := form{v2: true, component: "leaf", head: head}
			if err := form.readBody(&b, strings.NewReader(body)); err != nil {
				if head <= len(body) {
					t.Errorf("%q of %q: %v", header, body, err)
				}
				continue
			}
			var more struct {
				Form string
				Size int `json:"json_size"`
			}
			if err := json.Unmarshal(form.more(), &more); err != nil || more.Form != "v2" {
				t.Fatalf("%s %v", form.more(), err)
			}
			got := b.String()
			if more.Size > len(got) || strings.TrimRight(got[:more.Size], " ") != strings.TrimRight(body[:head], " ") ||
				got[more.Size:] != body[head:] {
				t.Errorf("%q with %d bytes of JSON became %q with %d", body, head, got, more.Size)
			}
		}
	})
}
