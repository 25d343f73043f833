// Package numbers is for the long lists of numbers in JSON, which between server and worker go in
// binary, as elements of an array of Python's. Those of a request are taken out of its JSON: the
// function gets the same lists of the same numbers, for a fifth to a third of what Python's json
// takes (BenchmarkTake; a Python number of an element is another 3 to 20 ns). Those of an answer
// are written into its JSON, in the words of Python's json, for a third of what that takes or less
// (BenchmarkWrite; taking a float out of a Python list is another 25 ns).
package numbers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	// Small is up to how many bytes a body is not worth looking through.
	Small = 4 << 10
	// few is how many numbers are not worth taking out of the JSON.
	few = 256
	// mostRest is how many bytes of JSON may be left; more would cost what the numbers save. It
	// also bounds what is read in vain.
	mostRest = 256 << 10
	// Growth bounds the memory for what is taken: so many times the bytes of the body.
	Growth = 2
)

// List says which numbers were taken out: those of the list at /inputs/Input/data.
type List struct {
	Input int
	// Code is the type of the elements, as Python's array and struct name it, of the machine's own
	// size and order: d, b, h, i, q.
	Code  byte
	Count int
	// Whole is how many of the elements of type d are integers in the JSON. Their places follow the
	// elements, four bytes each.
	Whole int
}

// MarshalJSON writes what the worker reads.
func (l List) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `[%d,"%c",%d,%d]`, l.Input, l.Code, l.Count, l.Whole), nil
}

// Take returns a body without its long lists of numbers that are data of inputs: first the elements
// of each list, then the JSON with empty lists in their places. No lists means that the body is to
// be used as it is: it has no such lists, or is not what is expected, and the worker says what is
// wrong with it. The result is a copy.
//
// A number is taken only if its Python number is certain and quickly found: integers of 64 bits but
// for the lowest one and -0; others of up to 40 bytes that are no infinity and not below the normal
// floats. Python's json rounds as IEEE 754 wants it, and so do these. The time is in proportion to
// the length of the body, whatever is in it.
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

// harmless reports whether each reader of JSON takes it: what the worker said of it would not name
// the place in the body. Beside what is no JSON, orjson refuses numbers that are infinite, and
// halves of characters.
func harmless(rest []byte) bool {
	var value any
	return json.Unmarshal(rest, &value) == nil && utf8.Valid(rest) && !bytes.Contains(rest, []byte(`\ud`)) &&
		!bytes.Contains(rest, []byte(`\uD`))
}

// reader goes through a request. It looks for what it knows, and leaves it to others whether the
// rest is JSON.
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

// request reports whether the body looks like a request whose lists can be told by their places: no
// key comes twice or in escapes where it matters.
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

var ends = [256]bool{',': true, ':': true, ']': true, '}': true, '[': true, '{': true, '"': true, ' ': true, '\t': true,
	'\n': true, '\r': true}

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
