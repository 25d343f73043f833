package frame

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestWriteThenRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 8, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		payload := bytes.Repeat([]byte{7}, size)
		var b bytes.Buffer
		for _, meta := range []string{"", "id", "id\x00{}"} {
			if err := Write(&b, Frame{Call, []byte(meta), payload}); err != nil {
				t.Fatal(err)
			}
			f, err := Read(iotest.HalfReader(&b))
			if err != nil || f.Type != Call || string(f.Meta) != meta || !bytes.Equal(f.Body, payload) {
				t.Errorf("%d bytes: type %d, meta %q, %d bytes, %v", size, f.Type, f.Meta, len(f.Body), err)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string][]byte{
		"nothing":         {},
		"half a header":   {6, 0, 0},
		"unknown type":    {99, 0, 0, 0, 0, 0, 0, 0},
		"type zero":       {0, 0, 0, 0, 0, 0, 0, 0},
		"meta too large":  {6, 0x10, 0, 1, 0, 0, 0, 0},
		"meta broken off": {6, 0, 0, 3, 0, 0, 0, 0, 1, 2},
		"too large":       {6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"broken off":      {6, 0, 0, 0, 0, 0, 0, 5, 1, 2},
	} {
		if _, err := Read(bytes.NewReader(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, f := range []Frame{{Call, nil, make([]byte, MaxBody+1)}, {Call, make([]byte, MaxMeta+1), nil}} {
		if err := Write(io.Discard, f); err == nil {
			t.Error("a frame over the limits was sent")
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{6, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{6, 0, 0, 3, 0, 0, 0, 2, 'a', 0, 'b', 'h', 'i'})
	f.Add([]byte{1, 0, 0, 0, 0x10, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), in[:out.Len()]) {
			t.Errorf("%x was read as %x", in, out.Bytes())
		}
	})
}
