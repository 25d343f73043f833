//go:build unix

package rights

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Expect begins to take descriptors.
func (r *Reader) Expect() {
	r.room = make([]byte, syscall.CmsgSpace(Max*4))
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.room == nil {
		return r.conn.Read(p)
	}
	n, control, flags, _, err := r.conn.ReadMsgUnix(p, r.room) // with MSG_CMSG_CLOEXEC
	n, control = max(n, 0), max(control, 0)                    // they are -1 where there is an error
	if e := r.keepDescriptors(r.room[:control]); e != nil {
		return n, e
	}
	switch {
	case errors.Is(err, io.EOF):
		return n, io.EOF // as Read of a connection says it, without what was being done
	case err != nil:
		return n, err
	case flags&syscall.MSG_CTRUNC != 0 || len(r.taken) > Max:
		return n, fmt.Errorf("more than %d descriptors came with one message", Max)
	}
	return n, nil
}

// keepDescriptors keeps the descriptors of a control message. What cannot be understood holds none:
// the kernel has written it.
func (r *Reader) keepDescriptors(control []byte) error {
	if len(control) == 0 {
		return nil
	}
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return fmt.Errorf("reading a control message: %w", err)
	}
	for _, m := range messages {
		descriptors, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue // of another type
		}
		for _, d := range descriptors {
			r.taken = append(r.taken, os.NewFile(uintptr(d), "received"))
		}
	}
	return nil
}
