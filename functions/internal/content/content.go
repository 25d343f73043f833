// Package content reads the bodies of calls, which are JSON, as people send them: packed, with a
// byte order mark, or as something else, which it tells from JSON that is only wrong.
package content

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// encodings are those that a body may have, as the header Accept-Encoding names them.
const encodings = "gzip"

var (
	// ErrEncoding is a Content-Encoding that is not taken; Refused answers it.
	ErrEncoding = errors.New("the body has a Content-Encoding that is not taken")
	// ErrPacked ends a body that is not packed as its header says.
	ErrPacked = errors.New("the body is not gzip, as its Content-Encoding says, or it breaks off")
)

// Unpack takes the Content-Encoding off a request: its body is read as it was before it was packed.
// It ends with a *http.MaxBytesError when more than most bytes come out, for a little gzip can be
// very much. The length is not known any more.
func Unpack(r *http.Request, most int64) error {
	switch encoding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ",")); encoding {
	case "", "identity":
		return nil
	case "gzip", "x-gzip":
	default:
		return fmt.Errorf("%w: %.100q", ErrEncoding, encoding)
	}
	r.Body = Limited(&unpacked{packed: r.Body}, most)
	r.ContentLength = -1
	r.Header.Del("Content-Encoding")
	r.Header.Del("Content-Length")
	return nil
}

// Limited is a body that ends with a *http.MaxBytesError when more than most bytes come. What
// http.MaxBytesReader does beside, it does not: the connection goes on for as long as package rest reads
// what is left.
func Limited(body io.ReadCloser, most int64) io.ReadCloser {
	return &limited{ReadCloser: body, most: most, left: most}
}

type limited struct {
	io.ReadCloser
	most, left int64 // left is below 0 once there was more
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &http.MaxBytesError{Limit: l.most}
	}
	if int64(len(p)) > l.left+1 { // one more tells that it is too much
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, &http.MaxBytesError{Limit: l.most}
	}
	return n, err
}

// unpacked is the body of a request that came as gzip.
type unpacked struct {
	packed io.ReadCloser
	gzip   *gzip.Reader // nil before the first byte is asked for
}

func (u *unpacked) Read(p []byte) (n int, err error) {
	if u.gzip == nil {
		if u.gzip, err = gzip.NewReader(u.packed); err != nil {
			u.gzip = nil
			return 0, broken(err)
		}
	}
	n, err = u.gzip.Read(p)
	return n, broken(err)
}

func (u *unpacked) Close() error { return u.packed.Close() }

// broken is ErrPacked for what the bytes are to blame for; what reading them ran into stays.
func broken(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) ||
		err == io.ErrUnexpectedEOF { //nolint:errorlint // gzip's own word; one of the connection's is wrapped
		return ErrPacked
	}
	return err
}

// Refused answers a Content-Encoding that is not taken, and says which are.
func Refused(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Accept-Encoding", encodings)
	problem.Answer(w, r, problem.Unsupported, http.StatusUnsupportedMediaType, "",
		err.Error()+"; send it as it is, or as "+encodings)
}

// mark is the byte order mark that some editors write before a text of UTF-8.
var mark = []byte("\ufeff")

// Unmark makes blanks, which mean nothing to JSON, of a byte order mark. Nothing is moved: others
// may know places in the body.
func Unmark(body []byte) {
	if bytes.HasPrefix(body, mark) {
		copy(body, "   ")
	}
}

// Check says why a body of a media type, "" for none, is no call, as far as one look at it tells.
// What looks like a JSON object is left to who decodes it, whatever its type: curl calls all that it
// sends a form.
func Check(mediaType string, body []byte) *problem.Problem {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] == '{' || body[0] == '[' {
		return nil
	}
	kind, _, err := mime.ParseMediaType(mediaType)
	what := ""
	switch {
	case len(body) > 1 && (body[0] == 0xff && body[1] == 0xfe || body[0] == 0xfe && body[1] == 0xff):
		p := problem.New(problem.InvalidJSON, http.StatusBadRequest, "", "the body is text in UTF-16, as some programs "+
			"of Windows write it; JSON goes over HTTP in UTF-8: save the file in that encoding")
		return &p
	case err == nil && (kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"):
		what = "a form"
	case err == nil && kind != "application/json" && !strings.HasSuffix(kind, "+json") && kind != "text/plain":
		what = "of the type " + kind
	case !text(body[:min(len(body), looked)]):
		p := problem.New(problem.InvalidJSON, http.StatusBadRequest, "", "the body is no text in UTF-8, which JSON is; "+
			files)
		return &p
	default:
		return nil
	}
	p := problem.New(problem.Unsupported, http.StatusUnsupportedMediaType, "",
		"the body is "+what+", and a call is a JSON object, of the type application/json; "+files)
	return &p
}

const (
	// files is where what is no JSON goes.
	files = "an image or another file is uploaded with the file API, and an input of the datatype FILE names it"
	// looked is how many bytes of a body are looked at.
	looked = 512
)

// text reports that bytes are the beginning of a text in UTF-8.
func text(b []byte) bool {
	for len(b) >= utf8.UTFMax {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		b = b[n:]
	}
	return true
}
