// Package numbers is for the long lists of numbers in JSON, which between server and worker go in binary, as elements of an array of Python's. Those of a request are taken out of its JSON: the function gets the same
// lists of the same numbers, for a fifth to a third of what Python's json takes (BenchmarkTake; a Python number of an element is another 3 to 20 ns). Those of an answer are written into its JSON, in the words of Python's
// json, for a fifth of what that takes (BenchmarkWrite).
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
	// mostRest is how many bytes of JSON may be left; more would cost what the numbers save. It also bounds what is read in vain.
	mostRest = 256 << 10
	// Growth bounds the memory for what is taken: so many times the bytes of the body.
	Growth = 2
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
// A number is taken only if its Python number is certain and quickly found: integers of 64 bits but for the lowest one and -0; others of up to 40 bytes that are no infinity and not below the normal floats.
// Python's json rounds as IEEE 754 wants it, and so do these. The time is in proportion to the length of the body, whatever is in it.
func Take(body []byte) ([]byte, []List) {
	if len(body) <= Small {
		return nil, nil
	}
	r := reader{body: body}
	if !r.request() || len(r.lists) == 0 || r.tooMuch() {
		return nil, nil
	}
	rest := slices.Concat(r.rest, body[r.kept:])
	if !harmless(rest) {
		return nil, nil
	}
	return append(r.out, rest...), r.lists
}

// harmless reports whether each reader of JSON takes it: what the worker said of it would not name the place in the body. Beside what is no JSON, orjson refuses numbers that are infinite, and halves of characters.
func harmless(rest []byte) bool {
	var value any
	return json.Unmarshal(rest, &value) == nil && utf8.Valid(rest) && !bytes.Contains(rest, []byte(`\ud`)) && !bytes.Contains(rest, []byte(`\uD`))
}

// reader goes through a request. It looks for what it knows, and leaves it to others whether the rest is JSON.
type reader struct {
	body     []byte
	at       int
	kept     int    // what is before is in rest, or in out
	rest     []byte // JSON
	out      []byte
	lists    []List
	reserved bool // out has room for the rest of the body, as far as could be told
}

// tooMuch says that more JSON is left than there may be.
func (r *reader) tooMuch() bool { return len(r.rest)+r.at-r.kept > mostRest }

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
		if r.blank() != '[' {
			return r.skip()
		}
		return r.inputs()
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
	for depth := 0; r.at < len(r.body) && !r.tooMuch(); {
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
	c := collector{out: r.out, base: len(r.out), most: Growth * len(r.body)}
	taken := r.numbers(&c)
	r.out = c.out[:c.base] // also of one that is not taken the memory is kept
	if !taken || !c.done() {
		return false
	}
	r.out = c.out
	r.rest = append(append(r.rest, r.body[r.kept:begin]...), "[]"...)
	r.kept, r.lists = r.at, append(r.lists, List{Input: input, Code: c.code(), Count: c.count, Whole: len(c.whole)})
	return true
}

// numbers collects the list that begins here, and goes behind it.
func (r *reader) numbers(c *collector) bool {
	begin := r.at
	for r.at++; ; {
		r.blank()
		start := r.at
		n, end := parse(r.body, start)
		if end < 0 || !c.add(n, len(r.body)-end) {
			return false
		}
		r.at = end
		if c.count >= few && !r.reserved {
			c.reserve(len(r.body)-r.at, r.at-begin)
			r.reserved = true
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
			r.at++
			return true
		default:
			return false
		}
	}
}

// collector writes the elements of one list behind those of others, as integers as narrow as those that came, from the first number with a fraction on as floats.
type collector struct {
	out   []byte
	base  int // where the list begins in out
	most  int // bytes that out and whole may have
	count int
	width int      // bytes of an integer; 0 before the first number, float from the first float on
	whole []uint32 // where integers are among floats
}

const float = -1

// exact is up to where each integer is a float.
const exact = 1 << 53

// add adds a number, behind which so many bytes of the body follow.
func (c *collector) add(n number, follow int) bool {
	if len(c.out)+4*len(c.whole)+8 > c.most {
		return false
	}
	if n.float {
		if c.width != float && !c.toFloats(follow) {
			return false
		}
		c.out = binary.NativeEndian.AppendUint64(c.out, math.Float64bits(n.value))
		c.count++
		return true
	}
	if c.width == float {
		if n.whole > exact || n.whole < -exact || c.tooWhole(len(c.whole), follow) {
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

// tooWhole says that so many integers are more than a quarter of the numbers, whatever comes in the bytes that follow: making integers of them again would cost what is saved.
func (c *collector) tooWhole(whole, follow int) bool { return whole > (c.count+follow/2+1)/4 }

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

// reserve makes room for what comes, given how many bytes of the body follow and how many the numbers until now took.
func (c *collector) reserve(follow, took int) {
	size := c.width
	if size == float {
		size = 8
	}
	const more = 1.02 // others may be shorter
	want := int(float64(follow)*float64(c.count)/float64(took)*more)*size + room
	c.out = slices.Grow(c.out, max(0, min(want, c.most-len(c.out))))
}

// room is some bytes more, for the rest of the JSON.
const room = 4 << 10

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

// before is an integer that was added, as one of another width.
func (c *collector) before(i, width int) int64 {
	switch b := c.out[c.base+i*width:]; width {
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

// rewrite makes elements of another, larger size of the integers until now, the last one first, so that none is overwritten before it is read.
func (c *collector) rewrite(size int, element func(to []byte, n int64)) bool {
	if c.base+c.count*size+8 > c.most {
		return false
	}
	old := c.width
	c.out = slices.Grow(c.out, c.count*(size-old))[:c.base+c.count*size]
	for i := c.count - 1; i >= 0; i-- {
		at := c.base + i*size
		element(c.out[at:at:at+size], c.before(i, old))
	}
	return true
}

func (c *collector) widen(width int) bool {
	ok := c.rewrite(width, func(to []byte, n int64) { appendInt(to, n, width) })
	c.width = width
	return ok
}

func (c *collector) toFloats(follow int) bool {
	if c.tooWhole(c.count, follow) {
		return false
	}
	fits := true
	ok := c.rewrite(8, func(to []byte, n int64) {
		fits = fits && -exact <= n && n <= exact
		binary.NativeEndian.AppendUint64(to, math.Float64bits(float64(n)))
	})
	for i := range c.count {
		c.whole = append(c.whole, uint32(i))
	}
	c.width = float
	return ok && fits
}

// done ends the list; false is one that is not worth it.
func (c *collector) done() bool {
	if c.count < few || c.tooWhole(len(c.whole), 0) || len(c.out)+4*len(c.whole) > c.most {
		return false
	}
	for _, i := range c.whole {
		c.out = binary.NativeEndian.AppendUint32(c.out, i)
	}
	return true
}

func (c *collector) code() byte {
	switch c.width {
	case 1:
		return 'b'
	case 2:
		return 'h'
	case 4:
		return 'i'
	case 8:
		return 'q'
	default:
		return 'd'
	}
}
