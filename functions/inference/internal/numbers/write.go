package numbers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Hole is a place in an answer's JSON where a list of numbers belongs.
type Hole struct {
	// At is its offset in the JSON, in bytes.
	At int
	// Code is the type of the elements, as in List; B, H, I and Q, which are unsigned, may come as
	// well.
	Code  byte
	Count int
}

// UnmarshalJSON reads what the worker says: [at, "code", count].
func (h *Hole) UnmarshalJSON(b []byte) error {
	var code string
	if err := json.Unmarshal(b, &[]any{&h.At, &code, &h.Count}); err != nil {
		return err
	}
	if len(code) != 1 {
		return fmt.Errorf("no type: %q", code)
	}
	h.Code = code[0]
	return nil
}

// size of an element in bytes, 0 for an unknown one.
func (h Hole) size() int {
	switch h.Code {
	case 'b', 'B':
		return 1
	case 'h', 'H':
		return 2
	case 'i', 'I':
		return 4
	case 'q', 'Q', 'd':
		return 8
	}
	return 0
}

// ErrHoles says that holes and body do not fit together.
var ErrHoles = errors.New("the numbers of the answer are not where it says")

// MostText is how many bytes of JSON a byte of an element can become at most, its comma included:
// "-128," of one byte, "-2.2250738585072014e-308," of eight.
const MostText = 5

// Check reports whether an answer's body has what Write and Append want: the elements of all holes,
// one after the other, then the JSON with nothing in the holes, which come in its order. start is
// where that begins.
func Check(body []byte, holes []Hole) (start int, err error) {
	for _, h := range holes {
		size := h.size()
		if size == 0 || h.Count < 0 || h.Count > (len(body)-start)/size {
			return 0, ErrHoles
		}
		start += h.Count * size
	}
	at := 0
	for _, h := range holes {
		if h.At < at || h.At > len(body)-start {
			return 0, ErrHoles
		}
		at = h.At
	}
	return start, nil
}

// Append appends an answer's JSON with the numbers in it, as Python's json writes them: the
// shortest digits that mean the same float, with an exponent below 1e-4 and from 1e16 on; null for
// what is no number.
func Append(out, body []byte, holes []Hole) ([]byte, error) {
	return fill(out, body, holes, nil, 0)
}

// Write writes the same in pieces of about so many bytes; JSON between two lists that is longer is
// a piece of its own.
func Write(w io.Writer, body []byte, holes []Hole, piece int) error {
	out, err := fill(make([]byte, 0, piece+64), body, holes, w, piece)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// fill appends to out, and with a writer gives it what has become a piece.
func fill(out, body []byte, holes []Hole, w io.Writer, piece int) ([]byte, error) {
	start, err := Check(body, holes)
	if err != nil {
		return out, err
	}
	flush := func(next int) error {
		if w == nil || len(out)+next <= piece || len(out) == 0 {
			return nil
		}
		_, err := w.Write(out)
		out = out[:0]
		return err
	}
	text := func(b []byte) error {
		if err := flush(len(b)); err != nil {
			return err
		}
		if w != nil && len(b) > piece {
			_, err := w.Write(b)
			return err
		}
		out = append(out, b...)
		return nil
	}
	elements, rest, at := body[:start], body[start:], 0
	for _, h := range holes {
		if err := text(rest[at:h.At]); err != nil {
			return out, err
		}
		at = h.At
		out = append(out, '[')
		size := h.size()
		for i := range h.Count {
			if i > 0 {
				out = append(out, ',')
			}
			out = h.append(out, elements[i*size:])
			if err := flush(0); err != nil {
				return out, err
			}
		}
		elements = elements[h.Count*size:]
		out = append(out, ']')
	}
	return out, text(rest[at:])
}

// append writes the element that begins there.
func (h Hole) append(out, b []byte) []byte {
	switch h.Code {
	case 'd':
		return appendFloat(out, math.Float64frombits(binary.NativeEndian.Uint64(b)))
	case 'b':
		return strconv.AppendInt(out, int64(int8(b[0])), 10)
	case 'h':
		return strconv.AppendInt(out, int64(int16(binary.NativeEndian.Uint16(b))), 10)
	case 'i':
		return strconv.AppendInt(out, int64(int32(binary.NativeEndian.Uint32(b))), 10)
	case 'q':
		return strconv.AppendInt(out, int64(binary.NativeEndian.Uint64(b)), 10)
	case 'B':
		return strconv.AppendUint(out, uint64(b[0]), 10)
	case 'H':
		return strconv.AppendUint(out, uint64(binary.NativeEndian.Uint16(b)), 10)
	case 'I':
		return strconv.AppendUint(out, uint64(binary.NativeEndian.Uint32(b)), 10)
	default:
		return strconv.AppendUint(out, binary.NativeEndian.Uint64(b), 10)
	}
}

func appendFloat(out []byte, x float64) []byte {
	size := math.Abs(x)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return append(out, "null"...)
	case size < 1e-4 && x != 0 || size >= 1e16:
		return strconv.AppendFloat(out, x, 'e', -1, 64)
	}
	begin := len(out)
	out = strconv.AppendFloat(out, x, 'f', -1, 64)
	if bytes.IndexByte(out[begin:], '.') < 0 {
		out = append(out, ".0"...)
	}
	return out
}
