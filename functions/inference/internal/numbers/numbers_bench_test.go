package numbers

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// BenchmarkTake reads lists as programs write them; ns/number is what to compare.
func BenchmarkTake(b *testing.B) {
	const count = 100_000
	r := rand.New(rand.NewPCG(5, 6))
	for name, write := range map[string]func() string{
		"pixels":     func() string { return strconv.Itoa(r.IntN(256)) },
		"sixty-4ths": func() string { return strconv.FormatFloat(float64(r.IntN(64))/64, 'g', -1, 64) },
		"6 digits":   func() string { return fmt.Sprintf("%.6f", r.Float64()) },
		"float32":    func() string { return strconv.FormatFloat(float64(r.Float32()), 'g', -1, 64) },
		"float64":    func() string { return strconv.FormatFloat(r.NormFloat64(), 'g', -1, 64) },
	} {
		body := []byte(`{"inputs":[{"name":"x","datatype":"FP32","data":` + list(count, write, ", ") + `}]}`)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, l := Take(body); len(l) != 1 {
					b.Fatal(l)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/number")
		})
	}
}
