// Package numbers takes the long lists of numbers out of a request's JSON and gives them to the worker in binary, as elements of an array of Python's. The function gets the same lists of the same numbers, for a fifth
// to a third of what Python's json takes (BenchmarkTake; a Python number of an element is another 3 to 20 ns).
package numbers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

const (
	// Small is up to how many bytes a body is not worth looking through.
	Small = 4 << 10
	// few is how many numbers are not worth taking out of the JSON.
	few = 256
	// mostRest is how many bytes of JSON may be left; more would cost what the numbers save.
	mostRest = 256 << 10
	// mostOut is how many times the bytes of the body the numbers may have in binary.
	mostOut = 2
	// Growth bounds the memory that Take needs: so many times the bytes of the body.
	Growth = mostOut + 1
)

// List says which numbers were taken out: those of the list at /inputs/Input/data.
type List struct {
	Input int
	// Code is the type of the elements, as Python's array and struct name it, of the machine's own size and order: d, b, h, i, q.
	Code  byte
	Count int
	// Whole is how many of the elements of type d are integers in the JSON. Their places follow the elements, four bytes each.
	Whole int
}

// MarshalJSON writes what the worker reads.
func (l List) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `[%d,"%c",%d,%d]`, l.Input, l.Code, l.Count, l.Whole), nil
}

// Take returns a body without its long lists of numbers that are data of inputs: first the elements of each list, then the JSON with empty lists in their places. No lists means that the body is to be used as it
// is: it has no such lists, or is not what is expected, and the worker says what is wrong with it. The result is a copy.
//
// A number is taken only if its Python number is certain: integers of up to 64 bits, and what is no infinity. Python's json rounds as IEEE 754 wants it, and so do these.
func Take(body []byte) ([]byte, []List) {
	if len(body) <= Small {
		return nil, nil
	}
	r := reader{body: body}
	if !r.request() || len(r.lists) == 0 {
		return nil, nil
	}
	rest := slices.Concat(r.rest, body[r.kept:])
	if len(rest) > mostRest || !json.Valid(rest) || !utf8.Valid(rest) || bytes.Contains(rest, []byte(`\ud`)) || bytes.Contains(rest, []byte(`\uD`)) { // half a character, maybe: orjson names its place
		return nil, nil
	}
	return append(r.out, rest...), r.lists
}

// reader goes through a request. It looks for what it knows, and leaves it to json.Valid whether the rest is JSON.
type reader struct {
	body  []byte
	at    int
	kept  int    // what is before is in rest, or in out
	rest  []byte // JSON
	out   []byte
	lists []List
}

// request reports whether the body looks like a request whose lists can be told by their places: no key comes twice or in escapes where it matters.
func (r *reader) request() bool {
	seen := false
	return r.blank() == '{' && r.object(func(key []byte) bool {
		if string(key) != "inputs" {
			return r.skip()
		}
		if seen {
			return false
		}
		seen = true
		return r.blank() != '[' && r.skip() || r.inputs()
	})
}

func (r *reader) inputs() bool {
	r.at++
	for i := 0; ; i++ {
		switch r.blank() {
		case ']':
			r.at++
			return true
		case '{':
			if !r.input(i) {
				return false
			}
		default:
			if !r.skip() {
				return false
			}
		}
		if r.blank() == ',' {
			r.at++
		}
	}
}

func (r *reader) input(i int) bool {
	seen := false
	return r.object(func(key []byte) bool {
		if string(key) != "data" {
			return r.skip()
		}
		if seen {
			return false
		}
		seen = true
		begin := r.at
		if r.blank() == '[' && r.list(i) {
			return true
		}
		r.at = begin
		return r.skip()
	})
}

// object calls value with the reader behind each key's colon.
func (r *reader) object(value func(key []byte) bool) bool {
	r.at++
	for {
		switch r.blank() {
		case '}':
			r.at++
			return true
		case ',':
			r.at++
		case '"':
			begin := r.at + 1
			if !r.skip() {
				return false
			}
			key := r.body[begin : r.at-1]
			if bytes.IndexByte(key, '\\') >= 0 || r.blank() != ':' {
				return false
			}
			r.at++
			if !value(key) {
				return false
			}
		default:
			return false
		}
	}
}

// blank passes over blanks and returns the byte behind them, 0 at the end.
func (r *reader) blank() byte {
	for r.at < len(r.body) {
		switch c := r.body[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return c
		}
	}
	return 0
}

// skip passes over a value; false is an end of the body in it.
func (r *reader) skip() bool {
	r.blank()
	for depth := 0; r.at < len(r.body); {
		switch r.body[r.at] {
		case '"':
			if !r.text() {
				return false
			}
		case '[', '{':
			depth++
			r.at++
			continue
		case ']', '}':
			if depth == 0 {
				return false // there was no value
			}
			depth--
			r.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return false
			}
			r.at++
		default: // a number, a word
			for r.at++; r.at < len(r.body) && !ends[r.body[r.at]]; r.at++ {
			}
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

var ends = [256]bool{',': true, ':': true, ']': true, '}': true, '[': true, '{': true, '"': true, ' ': true, '\t': true, '\n': true, '\r': true}

// text passes over a string.
func (r *reader) text() bool {
	for r.at++; ; r.at++ {
		n := bytes.IndexByte(r.body[r.at:], '"')
		if n < 0 {
			return false
		}
		// An odd number of backslashes before it makes it part of the string.
		slashes := 0
		for slashes < n && r.body[r.at+n-1-slashes] == '\\' {
			slashes++
		}
		r.at += n
		if slashes%2 == 0 {
			r.at++
			return true
		}
	}
}

// list takes the list that begins here; false leaves it where it is.
func (r *reader) list(input int) bool {
	begin := r.at
	c := collector{out: r.out, base: len(r.out), most: mostOut * len(r.body)}
	for r.at++; ; {
		r.blank()
		start := r.at
		n, end := parse(r.body, start)
		if end < 0 || !c.add(n) {
			return false
		}
		r.at = end
		if c.count >= few && !c.reserved {
			c.reserve(len(r.body)-r.at, r.at-begin)
		}
		switch r.blank() {
		case ',':
			r.at++
			if c.width == float && end-start <= usual {
				r.at = c.decimals(r.body, r.at)
			} else if c.width != float {
				r.at = c.integers(r.body, r.at)
			}
		case ']':
			l, ok := c.done()
			if !ok {
				return false
			}
			l.Input = input
			r.at++
			r.rest = append(append(r.rest, r.body[r.kept:begin]...), "[]"...)
			r.kept, r.out, r.lists = r.at, c.out, append(r.lists, l)
			return true
		default:
			return false
		}
	}
}

// collector writes the elements of one list, as integers as narrow as those that came, from the first number with a fraction on as floats.
type collector struct {
	out   []byte
	base  int // where the list begins in out
	most  int // bytes that out may have
	count int
	width int // bytes of an integer; 0 before the first number, float from the first float on
	whole []uint32
	// reserved is whether there is room for the rest, as far as it can be told.
	reserved bool
}

const float = -1

// exact is up to where each integer is a float.
const exact = 1 << 53

func (c *collector) add(n number) bool {
	if len(c.out)+8 > c.most {
		return false
	}
	if n.float {
		if c.width != float && !c.toFloats() {
			return false
		}
		c.out = binary.NativeEndian.AppendUint64(c.out, math.Float64bits(n.value))
		c.count++
		return true
	}
	if c.width == float {
		if n.whole > exact || n.whole < -exact {
			return false
		}
		c.whole = append(c.whole, uint32(c.count))
		c.out = binary.NativeEndian.AppendUint64(c.out, math.Float64bits(float64(n.whole)))
		c.count++
		return true
	}
	if w := widthOf(n.whole); w > c.width && !c.widen(w) {
		return false
	}
	c.out = appendInt(c.out, n.whole, c.width)
	c.count++
	return true
}

// usual is how long a number is that decimals mostly reads.
const usual = 10

// decimals adds numbers in the form that most have, as long as they come: up to nine digits, a point, up to seven digits and a comma, with a blank at most before and none behind. It is but a faster way to what parse
// and add do, and returns where they go on.
func (c *collector) decimals(b []byte, at int) int {
	out := c.out
	for at+32 <= len(b) && len(out)+8 <= cap(out) {
		p := at
		if b[p] == ' ' {
			p++
		}
		negative := b[p] == '-'
		if negative {
			p++
		}
		first, digits := p, uint64(0)
		for p < first+9 && b[p]-'0' <= 9 {
			digits = digits*10 + uint64(b[p]-'0')
			p++
		}
		if p == first || b[p] != '.' || b[first] == '0' && p > first+1 {
			break
		}
		fraction, n := eight(b, p+1)
		digits = digits*tens64[n] + fraction
		p += 1 + n
		if n == 0 || n == 8 || digits > exact || b[p] != ',' {
			break
		}
		value := float64(digits) / tens[n]
		if negative {
			value = -value
		}
		out = binary.NativeEndian.AppendUint64(out, math.Float64bits(value))
		at = p + 1
	}
	c.count += (len(out) - len(c.out)) / 8
	c.out = out
	return at
}

// integers does the same for integers of up to seven digits that are as wide as those before.
func (c *collector) integers(b []byte, at int) int {
	out, width := c.out, c.width
	for at+16 <= len(b) && len(out)+8 <= cap(out) {
		p := at
		if b[p] == ' ' {
			p++
		}
		negative := b[p] == '-'
		if negative {
			p++
		}
		digits, n := eight(b, p)
		if n == 0 || n == 8 || b[p] == '0' && (n > 1 || negative) || b[p+n] != ',' {
			break
		}
		value := int64(digits)
		if negative {
			value = -value
		}
		if widthOf(value) > width {
			break
		}
		out = appendInt(out, value, width)
		at = p + n + 1
	}
	c.count += (len(out) - len(c.out)) / width
	c.out = out
	return at
}

// reserve makes room for the list, given how many bytes of JSON may follow and how many the numbers until now took.
func (c *collector) reserve(follow, took int) {
	size := c.width
	if size == float {
		size = 8
	}
	want := int(float64(follow)*float64(c.count)/float64(took)*1.02)*size + Small // others may be shorter, and the rest of the JSON comes behind
	c.out, c.reserved = slices.Grow(c.out, max(0, min(want, c.most-len(c.out)))), true
}

func widthOf(n int64) int {
	switch {
	case n == int64(int8(n)):
		return 1
	case n == int64(int16(n)):
		return 2
	case n == int64(int32(n)):
		return 4
	default:
		return 8
	}
}

func appendInt(out []byte, n int64, width int) []byte {
	switch width {
	case 1:
		return append(out, byte(n))
	case 2:
		return binary.NativeEndian.AppendUint16(out, uint16(n))
	case 4:
		return binary.NativeEndian.AppendUint32(out, uint32(n))
	default:
		return binary.NativeEndian.AppendUint64(out, uint64(n))
	}
}

// at is an integer that was added.
func (c *collector) at(i int) int64 {
	switch b := c.out[c.base+i*c.width:]; c.width {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.NativeEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.NativeEndian.Uint32(b)))
	default:
		return int64(binary.NativeEndian.Uint64(b))
	}
}

// rewrite makes elements of so many bytes of the integers until now.
func (c *collector) rewrite(size int, element func(out []byte, n int64) []byte) bool {
	if c.base+c.count*size+8 > c.most {
		return false
	}
	out := make([]byte, c.base, c.base+c.count*size+few)
	copy(out, c.out)
	for i := range c.count {
		out = element(out, c.at(i))
	}
	c.out, c.reserved = out, false
	return true
}

func (c *collector) widen(width int) bool {
	if !c.rewrite(width, func(out []byte, n int64) []byte { return appendInt(out, n, width) }) {
		return false
	}
	c.width = width
	return true
}

func (c *collector) toFloats() bool {
	fits := true
	ok := c.rewrite(8, func(out []byte, n int64) []byte {
		fits = fits && -exact <= n && n <= exact
		c.whole = append(c.whole, uint32(len(c.whole)))
		return binary.NativeEndian.AppendUint64(out, math.Float64bits(float64(n)))
	})
	c.width = float
	return ok && fits
}

// done ends the list; false is one that is not worth it: a short one, or one of which more than a quarter would have to become integers again.
func (c *collector) done() (List, bool) {
	if c.count < few || len(c.whole) > c.count/4 || len(c.out)+4*len(c.whole) > c.most {
		return List{}, false
	}
	l := List{Count: c.count, Whole: len(c.whole)}
	switch c.width {
	case 1:
		l.Code = 'b'
	case 2:
		l.Code = 'h'
	case 4:
		l.Code = 'i'
	case 8:
		l.Code = 'q'
	default:
		l.Code = 'd'
	}
	for _, i := range c.whole {
		c.out = binary.NativeEndian.AppendUint32(c.out, i)
	}
	return l, true
}
