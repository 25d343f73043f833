package numbers

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestRounding compares with strconv, bit for bit, what is read: numbers as programs write them,
// and digits and exponents at random.
func TestRounding(t *testing.T) {
	check := func(s string) {
		t.Helper()
		n, end := parse([]byte(s), 0)
		want, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(want) < normal && want != 0 || len(s) > longest {
			if end >= 0 && (err != nil || math.Abs(want) < normal) {
				t.Fatalf("%s: %v, want an error", s, n.value)
			}
			return
		}
		if end != len(s) || !n.float || math.Float64bits(n.value) != math.Float64bits(want) {
			t.Fatalf("%s: %v (%x) until %d, want %v (%x)", s, n.value, math.Float64bits(n.value), end, want,
				math.Float64bits(want))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		for _, x := range []float64{r.Float64(), -r.NormFloat64() * 1000, float64(r.Float32()),
			math.Float64frombits(r.Uint64()), math.Ldexp(r.Float64(), r.IntN(120)-90)} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			check(strconv.FormatFloat(x, 'e', -1, 64))
			check(strconv.FormatFloat(x, 'e', r.IntN(22), 64))
			if math.Abs(x) < 1e30 {
				check(strconv.FormatFloat(x, 'f', 1+r.IntN(25), 64))
			}
		}
		check(strconv.FormatUint(r.Uint64()>>r.IntN(64), 10) + "e" + strconv.Itoa(r.IntN(80)-40))
	}
	// Halves between two floats, and what is just beside them: 2^53+1, divided by powers of ten, in
	// as many digits as there are.
	for _, s := range []string{
		"9007199254740993.0", "9007199254740992.0", "9007199254740991.0", "900719925474099.3", "9007199254740993e0",
		"9007199254740995e0", "18014398509481986.0", "0.5000000000000001110223024625156540",
		"4503599627370496.5", "4503599627370497.5", "4503599627370496.500000000001",
		"1.00000000000000011102230246251565", "1125899906842624.125", "1125899906842624.375", "0.1", "0.3", "-0.0",
		"0e5", "0.0e-500", "1e22", "1e23",
		"1e400", "-1e400", "1e-400", "5e-324", "2.2250738585072011e-308", "18446744073709551615e-27",
		"18446744073709551616e-27", "9999999999999999999e-1", "1e99999999999999999999",
	} {
		check(s)
	}
}
