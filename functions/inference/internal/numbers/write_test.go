package numbers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"

	"testing"
)

// Floats are written as Python writes them, to the letter.
func TestWriteFloats(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	floats := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e-4, 9.999999999999999e-5, 1e15, 1e16, 9999999999999998,
		9007199254740993, 123456789012345680, 1e22, 1e100, 5e-324, math.MaxFloat64, 2.5, 100, 1e-5, 123456.789,
		math.NaN(), math.Inf(1), math.Inf(-1)}
	for range 20_000 {
		floats = append(floats, r.NormFloat64(), float64(r.Float32()), math.Round(r.Float64()*1e6)/1e6,
			float64(r.IntN(1e6)), math.Ldexp(r.Float64(), r.IntN(140)-70))
		if x := math.Float64frombits(r.Uint64()); !math.IsNaN(x) {
			floats = append(floats, x)
		}
	}
	var body []byte
	for _, x := range floats {
		body = binary.NativeEndian.AppendUint64(body, math.Float64bits(x))
	}
	p := exec.Command("python3", "-c", `import json, sys, array
print(json.dumps([x if x - x == 0 else None for x in array.array("d", sys.stdin.buffer.read())], separators=(",", ":")), end="")`)
	p.Stdin = bytes.NewReader(body)
	want, err := p.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := Write(&got, body, []Hole{{0, 'd', len(floats)}}, 1000); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		g, w := bytes.Split(got.Bytes(), []byte(",")), bytes.Split(want, []byte(","))
		for i := range min(len(g), len(w)) {
			if !bytes.Equal(g[i], w[i]) {
				t.Fatalf("%s, want %s", g[i], w[i])
			}
		}
		t.Fatalf("%d numbers, want %d", len(g), len(w))
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	var numbers []byte
	numbers = binary.NativeEndian.AppendUint64(numbers, math.MaxUint64)
	numbers = append(numbers, 255, 1)
	numbers = binary.NativeEndian.AppendUint16(numbers, 65535)
	numbers = binary.NativeEndian.AppendUint32(numbers, math.MaxUint32)
	numbers = binary.NativeEndian.AppendUint64(numbers, 1<<63)
	holes := []Hole{{5, 'Q', 1}, {5, 'b', 1}, {5, 'B', 1}, {6, 'h', 1}, {7, 'i', 1}, {8, 'q', 1}, {9, 'd', 0}}
	body := slices.Concat(numbers, []byte(`{"a":bcde}`))
	const want = `{"a":[18446744073709551615][-1][1]b[-1]c[-1]d[-9223372036854775808]e[]}`
	for piece := range 80 {
		var out bytes.Buffer
		if err := Write(&out, body, holes, piece); err != nil || out.String() != want {
			t.Errorf("%s %v, want %s", &out, err, want)
		}
	}
	if out, err := Append([]byte("before "), body, holes); err != nil || string(out) != "before "+want {
		t.Errorf("%s %v, want %s", out, err, want)
	}
	// Neither numbers nor text are gathered: each write is of about a piece, or of the body's own
	// memory.
	long := append(bytes.Repeat([]byte{7}, 100_000), strings.Repeat("x", 100_000)+strings.Repeat("y", 50)...)
	w := &sizes{body: long}
	if err := Write(w, long, []Hole{{10, 'b', 50_000}, {100_010, 'b', 50_000}}, 1000); err != nil ||
		w.total != 200_000+200_000-2+4+50-100_000 || w.most > 1000+25 {
		t.Errorf("%+v, %v", w.total, w.most)
	}
	// A caller who has left ends it.
	// as it is
	if err := Write(broken{}, append(bytes.Repeat([]byte{1}, 1000), "{}"...), []Hole{{1, 'b', 1000}},
		10); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

// sizes sees the sizes of what is written, but for parts of the body.
type sizes struct {
	body        []byte
	total, most int
}

func (s *sizes) Write(b []byte) (int, error) {
	s.total += len(b)
	if &b[0] != &s.body[100_010] {
		s.most = max(s.most, len(b))
	}
	return len(b), nil
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzWrite: whatever a worker says, Check refuses it or Write writes it, all of the JSON included,
// in at most so many bytes.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("\x01\x02{}"), []byte(`[[1,"b",2]]`))
	f.Add([]byte("01234567{}"), []byte(`[[1,"d",1],[2,"d",0]]`))
	f.Fuzz(func(t *testing.T, body, said []byte) {
		var holes []Hole
		if json.Unmarshal(said, &holes) != nil {
			return
		}
		var out bytes.Buffer
		start, err := Check(body, holes)
		if got := Write(&out, body, holes, 100); (got == nil) != (err == nil) {
			t.Fatalf("%v and %v", err, got)
		}
		if err == nil && (out.Len() < len(body)-start || out.Len() > MostText*len(body)+2*len(holes)) {
			t.Errorf("%d bytes of %d", out.Len(), len(body))
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	const count = 100_000
	r := rand.New(rand.NewPCG(9, 10))
	for name, x := range map[string]struct {
		code byte
		next func(b []byte) []byte
	}{
		"float64": {'d', func(b []byte) []byte {
			return binary.NativeEndian.AppendUint64(b,
				math.Float64bits(r.NormFloat64()))
		}},
		"float32": {'d', func(b []byte) []byte {
			return binary.NativeEndian.AppendUint64(b, math.Float64bits(float64(r.Float32())))
		}},
		"pixels": {'B', func(b []byte) []byte { return append(b, byte(r.Uint32())) }},
	} {
		var body []byte
		for range count {
			body = x.next(body)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := Write(io.Discard, body, []Hole{{0, x.code, count}}, 64<<10); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/number")
		})
	}
}
