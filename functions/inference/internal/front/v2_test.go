package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

func TestReadAlignsBinaryTensors(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"{}", "{\"a\":1234567890}", strings.Repeat(" ", 31), strings.Repeat(" ", 33)} {
		for _, tail := range []string{"", "\x00binary"} {
			var b bytes.Buffer
			f := form{v2: true, component: "leaf", head: len(head)}
			if err := f.read(&b, iotest.OneByteReader(strings.NewReader(head+tail))); err != nil {
				t.Fatal(err)
			}
			if f.padded()%alignment != 0 || f.padded()-len(head) >= alignment || b.String() != head+strings.Repeat(" ", f.padded()-len(head))+tail {
				t.Errorf("%q and %q were read as %q", head, tail, b.String())
			}
		}
	}
}

func TestReadOfABodyThatIsTooShort(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := (form{head: 3}).read(&b, strings.NewReader("{}")); !errors.Is(err, errHead) {
		t.Error(err)
	}
	if err := (form{head: 3}).read(&b, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// A worker's meta of an answer that says nothing of use leaves it JSON.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for meta, want := range map[string]string{
		"": "", "{}": "", "x": "", "[]": "", `{"json_size":0}`: "", `{"json_size":-1}`: "", `{"json_size":"2"}`: "", `{"json_size":2}`: "2", `{"json_size":3}`: "3", `{"json_size":4}`: "",
	} {
		h := map[string][]string{}
		form{v2: true}.describe(h, pool.Answer{Meta: []byte(meta), Body: []byte("{}x")})
		got := ""
		if v := h[headLength]; v != nil {
			got = v[0]
		}
		if got != want || (h["Content-Type"][0] == "application/json") != (want == "") || h["Content-Length"][0] != "3" {
			t.Errorf("%s: %v", meta, h)
		}
	}
}

// FuzzHead gives the header and the body of a call: whatever they are, the worker is told of JSON that is there whole, with the binary tensors behind it as they were.
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
			if err := form.read(&b, strings.NewReader(body)); err != nil {
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
			if more.Size > len(got) || strings.TrimRight(got[:more.Size], " ") != strings.TrimRight(body[:head], " ") || got[more.Size:] != body[head:] {
				t.Errorf("%q with %d bytes of JSON became %q with %d", body, head, got, more.Size)
			}
		}
	})
}
