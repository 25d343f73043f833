// Package frame is the form in which server and worker talk over their Unix socket: 8 bytes of header, type (1), reserved (3), length of the payload (4, big endian), and the payload.
// worker.py is the other side and must agree.
package frame

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Type says what a frame is.
type Type byte

// The types. Payloads are JSON but for Call and Answer, which carry the body of the HTTP request and answer as it is.
const (
	Hello   Type = iota + 1 // worker or supervisor -> server: Greeting
	Ready                   // worker -> server: Function; the import is done
	Failed                  // worker -> server: it cannot start, and ends
	Model                   // server -> worker: load the model at this path
	Loaded                  // worker -> server
	Call                    // server -> worker
	Answer                  // worker -> server
	Problem                 // worker -> server, instead of Answer
	Kill                    // server -> supervisor: end a worker
	Exit                    // supervisor -> server: a worker has ended
)

// MaxPayload bounds a payload in bytes: an answer may be larger than a request (64 MiB), but not without end.
const MaxPayload = 256 << 20

const headerSize = 8

// Write sends a frame in one system call where the connection allows it.
func Write(w io.Writer, t Type, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("a frame of %d bytes is too large", len(payload))
	}
	header := make([]byte, headerSize)
	header[0] = byte(t)
	binary.BigEndian.PutUint32(header[4:], uint32(len(payload)))
	buffers := net.Buffers{header, payload}
	_, err := buffers.WriteTo(w)
	return err
}

// Read receives a frame. The payload is the caller's. A length over MaxPayload or an unknown type is an error, and nothing is allocated for it; memory is taken as bytes come, not as they are
// announced.
func Read(r io.Reader) (Type, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	t, size := Type(header[0]), binary.BigEndian.Uint32(header[4:])
	if t < Hello || t > Exit || header[1] != 0 || header[2] != 0 || header[3] != 0 {
		return 0, nil, fmt.Errorf("not a frame: header %x", header)
	}
	if size > MaxPayload {
		return 0, nil, fmt.Errorf("a frame of %d bytes is too large", size)
	}
	payload, err := readAll(r, int(size))
	return t, payload, err
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
