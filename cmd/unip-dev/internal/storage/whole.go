package storage

import (
	"io"

	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"
)

// body is the content of a request, which has so many bytes or is refused. versitygw stores what it
// has got when a client goes away.
type body struct {
	io.Reader
	left int64
}

// sumBody is a body that comes with its checksum.
type sumBody struct {
	body
	sum middlewares.ChecksumReader
}

func whole(r io.Reader, length *int64) io.Reader {
	if r == nil || length == nil {
		return r
	}
	b := body{Reader: r, left: *length}
	if sum, ok := r.(middlewares.ChecksumReader); ok {
		return &sumBody{body: b, sum: sum}
	}
	return &b
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	if (err == io.EOF || err == io.ErrUnexpectedEOF) && b.left > 0 { //nolint:errorlint // as readers give them
		return n, s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}

// Algorithm is that of the checksum.
func (b *sumBody) Algorithm() string { return b.sum.Algorithm() }

// Checksum is known when all was read.
func (b *sumBody) Checksum() string { return b.sum.Checksum() }
