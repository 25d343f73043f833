//go:build !unix

package rights

import "errors"

// Expect makes Read refuse: this system passes no descriptors.
func (r *Reader) Expect() { r.room = []byte{} }

// Read implements io.Reader, but where descriptors are expected: this system passes none.
func (r *Reader) Read(p []byte) (int, error) {
	if r.room != nil {
		return 0, errors.ErrUnsupported
	}
	return r.conn.Read(p)
}
