package numbers

import (
	"encoding/binary"
	"math"
	"slices"
)

// collector writes the elements of one list behind those of others, as integers as narrow as those
// that came, from the first number with a fraction on as floats.
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

// tooWhole says that so many integers are more than a quarter of the numbers, whatever comes in the
// bytes that follow: making integers of them again would cost what is saved.
func (c *collector) tooWhole(whole, follow int) bool { return whole > (c.count+follow/2+1)/4 }

// usual is how long a number is that decimals mostly reads.
const usual = 10

// decimals adds numbers in the form that most have, as long as they come: up to nine digits, a
// point, up to seven digits and a comma, with a blank at most before and none behind. It is but a
// faster way to what parse and add do, and returns where they go on.
func (c *collector) decimals(b []byte, at int) int {
	out := c.out
	for at+32 <= len(b) && len(out)+8 <= cap(out) {
		p, negative := sign(b, at)
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

// sign passes over a blank and a minus, where they are.
func sign(b []byte, at int) (behind int, negative bool) {
	if b[at] == ' ' {
		at++
	}
	if b[at] == '-' {
		return at + 1, true
	}
	return at, false
}

// integers does the same for integers of up to seven digits that are as wide as those before.
func (c *collector) integers(b []byte, at int) int {
	out, width := c.out, c.width
	for at+16 <= len(b) && len(out)+8 <= cap(out) {
		p, negative := sign(b, at)
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

// reserve makes room for what comes, given how many bytes of the body follow and how many the
// numbers until now took.
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

// rewrite makes elements of another, larger size of the integers until now, the last one first, so
// that none is overwritten before it is read.
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
