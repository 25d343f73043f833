// Package rights reads from a Unix socket on which descriptors come with the bytes (SCM_RIGHTS).
//
// Descriptors are taken only while they are expected: at other times what comes is closed by the
// kernel. More than Max, or so many that the kernel had to leave some out, are an error. Systems
// other than Unix pass none.
package rights

import (
	"net"
	"os"
)

// Max is how many descriptors may come with one message.
const Max = 64

// Reader reads from a connection. It is for one goroutine at a time.
type Reader struct {
	conn  *net.UnixConn
	taken []*os.File
	room  []byte // for control messages; nil while none are expected
}

// NewReader reads from conn, and expects no descriptors.
func NewReader(conn *net.UnixConn) *Reader { return &Reader{conn: conn} }

// Taken ends it and returns those that have come, which are the caller's to close.
func (r *Reader) Taken() []*os.File {
	all := r.taken
	r.taken, r.room = nil, nil
	return all
}

// Close closes all of them.
func Close(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written to it here
	}
}
