package numbers

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// number is a number of JSON as Python reads it: one with a fraction or an exponent is a float,
// others are integers.
type number struct {
	float bool
	value float64
	whole int64
}

// What takes strconv long is not taken: numbers of more than longest bytes, of which strconv also
// reads exponents in another way than Python when there are thousands, and those below the normal
// floats.
const longest, normal = 40, 0x1p-1022

// most64 is how many decimal digits always fit into 64 bits.
const most64 = 19

// parse reads the number at b[at:] and returns where it ends; -1 is none, or one that is not taken.
func parse(b []byte, at int) (number, int) {
	begin, negative := at, false
	if at < len(b) && b[at] == '-' {
		negative = true
		at++
	}
	first, digits := at, uint64(0)
	for at < len(b) && b[at]-'0' <= 9 {
		digits = digits*10 + uint64(b[at]-'0')
		at++
	}
	count := at - first
	if count == 0 || count > 1 && b[first] == '0' {
		return number{}, -1
	}
	if at == len(b) || b[at] != '.' && b[at]|0x20 != 'e' {
		return integer(digits, count, negative, at)
	}
	exponent := 0
	if b[at] == '.' {
		first = at + 1
		digits, at = decimal(b, first, digits)
		if at == first {
			return number{}, -1
		}
		exponent = first - at
		count -= exponent
	}
	if at < len(b) && b[at]|0x20 == 'e' {
		e, end := power(b, at+1)
		if end < 0 {
			return number{}, -1
		}
		exponent += e
		at = end
	}
	value, ok := 0.0, count <= most64
	if ok {
		value, ok = rounded(digits, exponent)
	}
	if !ok {
		text := b[begin:at]
		if len(text) > longest {
			return number{}, -1
		}
		f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), 64)
		if err != nil || f != 0 && math.Abs(f) < normal {
			return number{}, -1
		}
		return number{float: true, value: f}, at
	}
	if negative {
		value = -value
	}
	return number{float: true, value: value}, at
}

// tens and fives are powers: of ten those that are exact as floats, of five those of 63 bits.
var (
	tens = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
		1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
	fives = func() (all [28]uint64) {
		for i := range all {
			all[i] = 1
			for range i {
				all[i] *= 5
			}
		}
		return all
	}()
	tens64 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}
)

// rounded is the float nearest to digits * 10^exponent, of two the even one; false is a number that
// is left to strconv.
//
// Where both are exact floats, their product or quotient is rounded once (W. D. Clinger, How to
// Read Floating Point Numbers Accurately, 1990). Otherwise the digits are divided by a power of
// five, as integers, to 62 bits or more and a remainder: the float is the 53 highest bits, rounded
// by what is below them.
func rounded(digits uint64, exponent int) (float64, bool) {
	switch {
	case digits <= exact && -22 <= exponent && exponent < 0:
		return float64(digits) / tens[-exponent], true
	case digits <= exact && 0 <= exponent && exponent <= 22:
		return float64(digits) * tens[exponent], true
	case digits == 0 || exponent >= 0 || -exponent >= len(fives):
		return 0, false
	}
	five := fives[-exponent]
	up, down := bits.LeadingZeros64(digits), bits.LeadingZeros64(five)
	digits <<= up
	quotient, rest := bits.Div64(digits>>1, digits<<63, five<<down)
	power := exponent + down - up - 63
	low := 64 - 53 - bits.LeadingZeros64(quotient) // bits below the float's
	mantissa, below, half := quotient>>low, quotient&(1<<low-1), uint64(1)<<(low-1)
	if below > half || below == half && (rest != 0 || mantissa&1 == 1) {
		mantissa++ // 2^53 carries into the exponent below
	}
	return math.Float64frombits(uint64(power+low+52+1023)<<52 + mantissa - 1<<52), true
}

func integer(digits uint64, count int, negative bool, end int) (number, int) {
	// -0 is not the same to all readers of JSON
	if count > most64 || digits > math.MaxInt64 || negative && digits == 0 {
		return number{}, -1
	}
	n := int64(digits)
	if negative {
		n = -n
	}
	return number{whole: n}, end
}

// decimal appends the digits at b[at:] to a number, modulo 2^64, and returns where they end.
func decimal(b []byte, at int, digits uint64) (uint64, int) {
	for at+8 <= len(b) {
		word, n := eight(b, at)
		digits = digits*tens64[n] + word
		at += n
		if n < 8 {
			return digits, at
		}
	}
	for at < len(b) && b[at]-'0' <= 9 {
		digits = digits*10 + uint64(b[at]-'0')
		at++
	}
	return digits, at
}

// eight reads up to eight digits at once, of the eight bytes at b[at:]: the bytes of a word become
// pairs, the pairs fours, and those eight digits.
func eight(b []byte, at int) (digits uint64, n int) {
	word := binary.LittleEndian.Uint64(b[at:]) ^ 0x3030303030303030
	// The lowest byte over 9 gets its highest bit; carries do not reach those below it.
	n = bits.TrailingZeros64((word+0x7676767676767676|word)&0x8080808080808080) / 8
	word <<= 64 - 8*n
	word = word*10 + word>>8
	return (word&0x000000ff000000ff*(100+1000000<<32) + word>>16&0x000000ff000000ff*(1+10000<<32)) >> 32, n
}

// power reads what follows the e.
func power(b []byte, at int) (int, int) {
	negative := false
	if at < len(b) && (b[at] == '-' || b[at] == '+') {
		negative = b[at] == '-'
		at++
	}
	first, e := at, 0
	for at < len(b) && b[at]-'0' <= 9 {
		if e < 10000 {
			e = e*10 + int(b[at]-'0')
		}
		at++
	}
	if at == first {
		return 0, -1
	}
	if negative {
		e = -e
	}
	return e, at
}
