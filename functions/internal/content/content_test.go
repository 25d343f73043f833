package content_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unip-knative/unip/functions/internal/content"
)

// packed is a text as gzip.
func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func request(body []byte, encoding ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/predict", bytes.NewReader(body))
	r.Header["Content-Encoding"] = encoding
	return r
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "x-gzip", "GZIP"} {
		r := request(packed(t, "text"), encoding)
		if err := content.Unpack(r, 4); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != "text" || r.Header.Get("Content-Encoding") != "" || r.ContentLength != -1 {
			t.Errorf("%s: %q, %v; %v, %d bytes", encoding, b, err, r.Header, r.ContentLength)
		}
	}
	for _, encoding := range []string{"", "identity"} {
		r := request([]byte("text"), encoding)
		if err := content.Unpack(r, 4); err != nil || r.ContentLength != 4 {
			t.Errorf("%q: %v, %d bytes", encoding, err, r.ContentLength)
		}
	}
	for _, encoding := range [][]string{{"br"}, {"zstd"}, {"gzip, gzip"}, {"gzip", "gzip"}, {"deflate"}} {
		r := request(nil, encoding...)
		if err := content.Unpack(r, 4); !errors.Is(err, content.ErrEncoding) {
			t.Errorf("%s: %v", encoding, err)
		}
		w := httptest.NewRecorder()
		content.Refused(w, r, content.ErrEncoding)
		if w.Code != http.StatusUnsupportedMediaType || w.Header().Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", encoding, w.Code, w.Header())
		}
	}
}

// What comes out is bounded, however small it came.
func TestUnpackIsBounded(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	for size, want := range map[int]bool{most: true, most + 1: false, 100 * most: false} {
		r := request(packed(t, strings.Repeat("x", size)), "gzip")
		if err := content.Unpack(r, most); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) == want || n > most {
			t.Errorf("%d bytes: %d have come, %v", size, n, err)
		}
	}
}

func TestUnpackOfWhatIsNoGzip(t *testing.T) {
	t.Parallel()
	whole := packed(t, "some text")
	wrong := bytes.Clone(whole)
	wrong[len(wrong)-5]++ // of the checksum
	for name, body := range map[string][]byte{
		"JSON": []byte(`{"inputs":[]}`), "half": whole[:len(whole)-6], "a head": whole[:4], "another checksum": wrong,
		"more behind": append(bytes.Clone(whole), "{}"...),
	} {
		r := request(body, "gzip")
		if err := content.Unpack(r, 100); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r.Body); !errors.Is(err, content.ErrPacked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the connection is broken")
	r := request(nil, "gzip")
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:5]), failing{broken}))
	if err := content.Unpack(r, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r.Body); !errors.Is(err, broken) {
		t.Errorf("%v, want what the connection says", err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

func TestCheck(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded" // what curl calls all that it sends
	for _, x := range []struct {
		mediaType, body string
		want            int // 0: it is left to the decoder
		says            string
	}{
		{form, `{"inputs":[]}`, 0, ""},
		{form, "\r\n\t {", 0, ""},
		{form, "[1]", 0, ""},
		{form, "", 0, ""},
		{form, "text=hello", 415, "a form"},
		{"multipart/form-data; boundary=x", "--x\r\n", 415, "a form"},
		{"image/png", "\x89PNG\r\n\x1a\n", 415, "image/png"},
		{form, "\x89PNG\r\n\x1a\n", 415, "a form"},
		{"application/octet-stream", "PK\x03\x04", 415, "application/octet-stream"},
		{"text/csv", "a;b", 415, "text/csv"},
		{"image/png", "{", 0, ""},
		{"", "\x89PNG\r\n\x1a\n", 400, "no text"},
		{"application/json", "\x89PNG\r\n\x1a\n", 400, "no text"},
		{"application/json", "\xff\xfe{\x00\"\x00", 400, "UTF-16"},
		{form, "\xfe\xff\x00{", 400, "UTF-16"},
		{"application/json", "inputs", 0, ""},
		{"application/problem+json", "inputs", 0, ""},
		{"", "inputs", 0, ""},
		{"no type", "inputs", 0, ""},
		{"text/plain", "inputs", 0, ""},
		{"", strings.Repeat("й", 300), 0, ""},
		{"", "x" + strings.Repeat("й", 300), 0, ""},
		{"", "xx" + strings.Repeat("🌿", 300), 0, ""},
	} {
		p := content.Check(x.mediaType, []byte(x.body))
		switch {
		case x.want == 0 && p != nil:
			t.Errorf("%s %.20q: %v", x.mediaType, x.body, p)
		case x.want != 0 && (p == nil || p.Status != x.want || !strings.Contains(p.Detail, x.says)):
			t.Errorf("%s %.20q: %v, want %d about %s", x.mediaType, x.body, p, x.want, x.says)
		}
	}
}

func TestUnmark(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"\ufeff{}": "   {}", "{}": "{}", "\xef\xbb": "\xef\xbb", "": ""} {
		b := []byte(in)
		if content.Unmark(b); string(b) != want {
			t.Errorf("%q: %q, want %q", in, b, want)
		}
	}
}
