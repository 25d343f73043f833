// Package frame is the form in which server and worker talk over their Unix socket: 8 bytes of
// header, type (1), length of the meta (3, big endian), length of the body (4, big endian); then
// the meta and the body. worker.py is the other side and must agree.
package frame

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Type says what a frame is.
type Type byte

// The types. Bodies are JSON but for Call and Answer, which carry the body of the HTTP request, as
// it is or with its lists of numbers in binary (package numbers), and of the answer likewise.
// Call's meta is the request's id and, where there is more to say of the call, a zero byte and a
// JSON object; Answer's meta is empty or a JSON object. Other frames have none.
const (
	Hello    Type = iota + 1 // worker or supervisor -> server: Greeting
	Ready                    // worker -> server: Function; the import is done
	Failed                   // worker -> server: it cannot start, and ends
	Model                    // server -> worker: load the model at this path
	Loaded                   // worker -> server
	Call                     // server -> worker
	Answer                   // worker -> server
	Problem                  // worker -> server, instead of Answer
	Kill                     // server -> supervisor: end a worker
	Exit                     // supervisor -> server: a worker has ended
	Spare                    // server -> supervisor: start one worker more than there should be
	Crowded                  // supervisor -> server, instead: memory does not hold it
	Replace                  // server -> supervisor: a spare worker takes the place of another one
	Reveal                   // server -> supervisor: let everybody in the pod read files of the user's code
	Revealed                 // supervisor -> server: that is done, as far as it can be
	Event                    // worker -> server, before Answer or Problem: an output of a call that wants events
)

// Frame is one message.
type Frame struct {
	Type Type
	Meta []byte
	Body []byte
}

// MaxBody bounds a body in bytes, an answer may be larger than a request (64 MiB) but not without
// end; MaxMeta bounds a meta.
const (
	MaxBody = 256 << 20
	MaxMeta = 1 << 20
)

const headerSize = 8

// small is up to how many bytes a body is rather copied than written from where it is.
const small = 16 << 10

// Write sends a frame in one system call where the connection allows it.
func Write(w io.Writer, f Frame) error {
	if len(f.Body) > MaxBody || len(f.Meta) > MaxMeta {
		return fmt.Errorf("a frame of %d and %d bytes is too large", len(f.Meta), len(f.Body))
	}
	together := len(f.Body) <= small
	size := headerSize + len(f.Meta)
	if together {
		size += len(f.Body)
	}
	head := make([]byte, headerSize, size)
	binary.BigEndian.PutUint32(head, uint32(f.Type)<<24|uint32(len(f.Meta)))
	binary.BigEndian.PutUint32(head[4:], uint32(len(f.Body)))
	head = append(head, f.Meta...)
	if together {
		_, err := w.Write(append(head, f.Body...))
		return err
	}
	buffers := net.Buffers{head, f.Body}
	_, err := buffers.WriteTo(w)
	return err
}

// Read receives a frame, which is the caller's. A length over the bounds or an unknown type is an
// error, and nothing is allocated for it; memory is taken as bytes come, not as they are announced.
func Read(r io.Reader) (Frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Frame{}, err
	}
	first, size := binary.BigEndian.Uint32(header[:]), binary.BigEndian.Uint32(header[4:])
	t, meta := Type(first>>24), first&0xff_ffff
	if t < Hello || t > Event {
		return Frame{}, fmt.Errorf("not a frame: header %x", header)
	}
	if size > MaxBody || meta > MaxMeta {
		return Frame{}, fmt.Errorf("a frame of %d and %d bytes is too large", meta, size)
	}
	f := Frame{Type: t}
	var err error
	if meta > 0 {
		if f.Meta, err = readAll(r, int(meta)); err != nil {
			return Frame{}, err
		}
	}
	f.Body, err = readAll(r, int(size))
	return f, err
}

// chunk is how much memory is trusted to an announced length at a time.
const chunk = 1 << 20

func readAll(r io.Reader, size int) ([]byte, error) {
	payload := make([]byte, min(size, chunk))
	for at := 0; ; {
		n, err := io.ReadFull(r, payload[at:])
		at += n
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return payload[:at], err
		}
		if at == size {
			return payload, nil
		}
		grown := make([]byte, min(size, 2*len(payload)))
		copy(grown, payload)
		payload = grown
	}
}
