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
		if err := Write(&b, Call, payload); err != nil {
			t.Fatal(err)
		}
		kind, got, err := Read(iotest.HalfReader(&b))
		if err != nil || kind != Call || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: type %d, %d bytes, %v", size, kind, len(got), err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string][]byte{
		"nothing":            {},
		"half a header":      {6, 0, 0},
		"unknown type":       {99, 0, 0, 0, 0, 0, 0, 0},
		"type zero":          {0, 0, 0, 0, 0, 0, 0, 0},
		"reserved bytes set": {6, 1, 0, 0, 0, 0, 0, 0},
		"too large":          {6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"broken off":         {6, 0, 0, 0, 0, 0, 0, 5, 1, 2},
	} {
		if _, _, err := Read(bytes.NewReader(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Write(io.Discard, Call, make([]byte, MaxPayload+1)); err == nil {
		t.Error("a payload over the limit was sent")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{6, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{1, 0, 0, 0, 0x10, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		kind, payload, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, kind, payload); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), in[:out.Len()]) {
			t.Errorf("%x was read as %x", in, out.Bytes())
		}
	})
}
