package numbers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// python reads bodies both ways, as the worker does, and says "same", or what differs.
const python = `
import json, struct, sys
sys.path.insert(0, "../../worker")
import values
sys.modules["unip_values"] = values
import lists
def field():
    return sys.stdin.buffer.read(struct.unpack(">I", sys.stdin.buffer.read(4))[0])
while True:
    body, packed, taken = field(), field(), json.loads(field())
    try:
        want = values.loads(body)
        found, rest = lists.unpack(packed, taken)
        got = values.loads(rest)
        for i, data, floats, whole in found:
            if floats != (set(map(type, data)) == {float}):
                raise ValueError("not of floats alone as it was said: %s" % i)
            for n in whole:
                data[n] = int(data[n])
            got["inputs"][i]["data"] = data
        want, got = repr(want), repr(got)  # tells 1 and 1.0, 0.0 and -0.0
        said = "same" if want == got else "not the same: %.2000s and %.2000s" % (want, got)
    except Exception as e:
        said = repr(e)
    sys.stdout.buffer.write(struct.pack(">I", len(said.encode())) + said.encode())
    sys.stdout.buffer.flush()
`

// judge is a running Python.
type judge struct {
	in  io.Writer
	out io.Reader
}

func startJudge(t testing.TB) *judge {
	t.Helper()
	p := exec.Command("python3", "-B", "-c", python)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	return &judge{in, out}
}

// judge fails the test if the worker reads anything else of what was taken out than of the body.
func (j *judge) judge(t *testing.T, body, packed []byte, lists []List) {
	t.Helper()
	said, err := json.Marshal(lists)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range [][]byte{body, packed, said} {
		if _, err := j.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(field))), field...)); err != nil {
			t.Fatal(err)
		}
	}
	var size [4]byte
	if _, err := io.ReadFull(j.out, size[:]); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(j.out, answer); err != nil {
		t.Fatal(err)
	}
	if string(answer) != "same" {
		t.Errorf("%s, for %.500q", answer, body)
	}
}

// writers write numbers as programs do.
var writers = map[string]func(r *rand.Rand) string{
	"float64": func(r *rand.Rand) string { return strconv.FormatFloat(r.NormFloat64(), 'g', -1, 64) },
	"float32": func(r *rand.Rand) string {
		return strconv.FormatFloat(float64(float32(r.NormFloat64())), 'g', -1,
			64)
	},
	"rounded":   func(r *rand.Rand) string { return strconv.FormatFloat(r.Float64(), 'f', 1+r.IntN(8), 64) },
	"exponents": func(r *rand.Rand) string { return fmt.Sprintf("%.3e", r.NormFloat64()*1e-9) },
	"pixels":    func(r *rand.Rand) string { return strconv.Itoa(r.IntN(256)) },
	"bytes":     func(r *rand.Rand) string { return strconv.Itoa(r.IntN(256) - 128) },
	"int16":     func(r *rand.Rand) string { return strconv.Itoa(r.IntN(65536) - 32768) },
	"int32":     func(r *rand.Rand) string { return strconv.Itoa(int(int32(r.Uint32()))) },
	"int64":     func(r *rand.Rand) string { return strconv.Itoa(int(r.Uint64())) },
	"a few whole": func(r *rand.Rand) string {
		return strconv.FormatFloat(float64(r.IntN(300))/16-4, 'f', -1, 64)
	},
	"growing": func(r *rand.Rand) string { return strconv.FormatInt(r.Int64()>>r.IntN(64), 10) },
}

func list(n int, write func() string, between string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = write()
	}
	return "[" + strings.Join(all, between) + "]"
}

func TestTake(t *testing.T) {
	t.Parallel()
	j := startJudge(t)
	r := rand.New(rand.NewPCG(3, 4))
	codes := map[string]string{
		"float64": "d", "float32": "d", "rounded": "d", "exponents": "d", "pixels": "h", "bytes": "b", "int16": "h",
		"int32": "i", "int64": "q", "a few whole": "d", "growing": "q",
	}
	for name, write := range writers {
		for _, between := range []string{",", ", ", " ,\n\t"} {
			for _, n := range []int{1300, 2500, 20000} {
				body := []byte(
					`{"parameters":{"data":[1,2]},"inputs":[{"name":"a]}\"","data":"[1,2"},{"name":"b","datatype":"FP64","shape":[2],"data": ` + list(n, func() string { return write(r) }, between) + `}, 7], "model_key":null}`)
				if len(body) <= Small {
					continue
				}
				packed, lists := Take(body)
				if len(lists) != 1 || lists[0].Input != 1 || string(lists[0].Code) != codes[name] ||
					lists[0].Count != n {
					t.Errorf("%s: %+v, want one list of %d of type %s", name, lists, n, codes[name])
					continue
				}
				if cap(packed) > Growth*len(body) {
					t.Errorf("%s: %d bytes for %d", name, cap(packed), len(body))
				}
				j.judge(t, body, packed, lists)
			}
		}
	}
	// Several lists, of different types, in any order of keys.
	body := []byte(`{"inputs":[{"data":` + list(3000, func() string { return "0.25" },
		",") + `,"name":"a"},{"data":` + list(301, func() string { return "-300" },
		",") + `},{"data":[[1],[2]]},{"data":[]},{"data":` + list(999, func() string { return "1e2" }, ",") + `}]}`)
	packed, lists := Take(body)
	if len(lists) != 3 || lists[2].Input != 4 {
		t.Fatalf("%+v", lists)
	}
	j.judge(t, body, packed, lists)
}

// What is not taken goes to the worker as it is.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	numbers := strings.Repeat("0.5,", 2000) + "1.5"
	for name, body := range map[string]string{
		"short":                 `{"inputs":[{"data":[` + strings.Repeat("0.5,", 900) + `1]}]}`,
		"few":                   `{"inputs":[{"data":[1,2,3],"name":"` + strings.Repeat("x", 5000) + `"}]}`,
		"inputs twice":          `{"inputs":[{"data":[` + numbers + `]}],"inputs":[]}`,
		"data twice":            `{"inputs":[{"data":[` + numbers + `],"data":1}]}`,
		"data twice, escaped":   `{"inputs":[{"data":[` + numbers + `],"d\u0061ta":1}]}`,
		"inputs twice, escaped": `{"inputs":[{"data":[` + numbers + `]}],"input\u0073":1}`,
		"elsewhere":             `{"parameters":[{"data":[` + numbers + `]}],"inputs":[]}`,
		"inputs no list":        `{"inputs":{"data":[` + numbers + `]}}`,
		"input no object":       `{"inputs":[[` + numbers + `]]}`,
		"nested":                `{"inputs":[{"data":[[` + numbers + `]]}]}`,
		"null":                  `{"inputs":[{"data":[` + numbers + `,null]}]}`,
		"NaN":                   `{"inputs":[{"data":[` + numbers + `,NaN]}]}`,
		"infinite":              `{"inputs":[{"data":[` + numbers + `,1e999]}]}`,
		"large integer":         `{"inputs":[{"data":[` + strings.Repeat("12345,", 2000) + `9223372036854775808]}]}`,
		"large among floats":    `{"inputs":[{"data":[` + numbers + `,9007199254740993]}]}`,
		"minus zero":            `{"inputs":[{"data":[` + strings.Repeat("12345,", 2000) + `-0]}]}`,
		"half whole":            `{"inputs":[{"data":[` + strings.Repeat("0.5,1,", 2000) + `1]}]}`,
		"not a number":          `{"inputs":[{"data":[` + numbers + `,01]}]}`,
		"fraction without":      `{"inputs":[{"data":[` + numbers + `,1.]}]}`,
		"exponent without":      `{"inputs":[{"data":[` + numbers + `,1e]}]}`,
		"infinite elsewhere":    `{"inputs":[{"data":[` + numbers + `]}],"parameters":[1e400]}`,
		"long number": `{"inputs":[{"data":[` + numbers + `,0.` + strings.Repeat("0",
			100000) + `1e100001]}]}`,
		"below the normal":     `{"inputs":[{"data":[` + numbers + `,1e-310]}]}`,
		"no digit":             `{"inputs":[{"data":[` + numbers + `,-]}]}`,
		"plus":                 `{"inputs":[{"data":[` + numbers + `,+1]}]}`,
		"comma at the end":     `{"inputs":[{"data":[` + numbers + `,]}]}`,
		"two commas":           `{"inputs":[{"data":[` + numbers + `,,1]}]}`,
		"no comma":             `{"inputs":[{"data":[` + numbers + ` 1]}]}`,
		"no end":               `{"inputs":[{"data":[` + numbers,
		"no end of the object": `{"inputs":[{"data":[` + numbers + `]`,
		"more behind":          `{"inputs":[{"data":[` + numbers + `]}]} {}`,
		"wrong elsewhere":      `{"inputs":[{"data":[` + numbers + `],"name":x}]}`,
		"no colon":             `{"inputs":[{"data" [` + numbers + `]}]}`,
		"not UTF-8":            `{"inputs":[{"data":[` + numbers + "],\"name\":\"\xff\"}]}",
		"half a character":     `{"inputs":[{"data":[` + numbers + `],"name":"\ud800"}]}`,
		"much else": `{"inputs":[{"data":[` + numbers + `],"name":"` + strings.Repeat("x",
			mostRest) + `"}]}`,
		"a list":  `[{"data":[` + numbers + `]}]`,
		"nothing": strings.Repeat(" ", 5000),
	} {
		if _, lists := Take([]byte(body)); len(lists) != 0 {
			t.Errorf("%s: %+v", name, lists)
		}
	}
}

// What a body can have done in vain, in work and in memory, is bounded by its length, whatever it
// is.
func TestTakeIsBounded(t *testing.T) {
	size := 16 << 20
	if testing.Short() {
		size = 1 << 20
	}
	fill := func(before, often, behind string) string {
		return `{"inputs":[` + before + strings.Repeat(often, max(1, (size-len(before))/len(often))) + behind + `]}`
	}
	half := strings.Repeat("0.5,", size/8)
	for name, x := range map[string]struct {
		body  string
		lists int // -1: many
	}{
		"long lists":                   {fill("", `{"data":[`+strings.Repeat("0.25,", 8000)+`0]},`, "0"), -1},
		"one large integer at the end": {fill(`{"data":[`, "1,", "1234567890123]}"), 0},
		"one fraction at the end":      {fill(`{"data":[`, "111,", "0.5]}"), 0},
		"three quarters of integers":   {fill(`{"data":[0.5,`, "1,1,1,0.5,", "0.5]}"), 0},
		"one text at the end":          {fill(`{"data":[`, "0.5,", `""]}`), 0},
		"many that fail, after a long": {fill(`{"data":[`+half+`1]},`, `{"data":[1,""]},`, "0"), 0},
		"many that fail late":          {fill("", `{"data":[`+strings.Repeat("1,", 300)+`""]},`, "0"), 0},
		"many that fail late and wider": {fill("", `{"data":[`+strings.Repeat("1,", 300)+`12345678901,""]},`, "0"),
			0},
		"many short":    {fill("", `{"data":[1]},`, "0"), 0},
		"nested":        {fill(`{"data":[`, "[0.5,0.5],", "[]]}"), 0},
		"depth":         {fill(`{"data":`, "[", ""), 0},
		"empty objects": {fill("", "{},", "0"), 0},
		"backslashes":   {fill(`{"name":"`, `\\`, `"}`), 0},
		"quotes":        {fill(`{"name":"`, `\"`, `"}`), 0},
		"numbers that are hard to round": {fill(`{"data":[`,
			"0.50000000000000011102230246251565404236316680908203125,", "0.5]}"), 0},
		"numbers below the normal floats": {fill(`{"data":[`, "1e-310,", "0.5]}"), 0},
		"exponents":                       {fill(`{"data":[1e`, "1", "]}"), 0},
		"digits":                          {fill(`{"data":[`, "1", "]}"), 0},
		"zeros":                           {fill(`{"data":[0.`, "0", "1]}"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(x.body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			_, lists := Take(body)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if x.lists >= 0 && len(lists) != x.lists || x.lists < 0 && len(lists) < 10 {
				t.Errorf("%d lists", len(lists))
			}
			// Growing buffers are copied: what is allocated is a few times what is held at the end.
			if got := int(after.TotalAlloc - before.TotalAlloc); got > 4*Growth*len(body) {
				t.Errorf("%d bytes were allocated for %d", got, len(body))
			}
			if took > 10*time.Second { // some 100 ms
				t.Errorf("it took %v", took)
			}
			t.Logf("%v, %.1f bytes allocated for each", took,
				float64(after.TotalAlloc-before.TotalAlloc)/float64(len(body)))
		})
	}
}

// FuzzTake: what is taken out of a body, the worker reads as it would have read the body.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"data":[`), []byte("0.5,"), []byte("1]}]}"))
	f.Add([]byte(`{"a":"\\\"","inputs":[{"name":"[","data":[`), []byte("-1.25e-3 , "), []byte("1e5]},{}]}"))
	f.Add([]byte(`{"inputs":[{"data":[300,`), []byte("1,"), []byte("9007199254740993]}]}"))
	f.Add([]byte(`{"inputs":[3,{"x":{"data":[]},"data":[1,`), []byte("1.5,-2.0,3e1,"),
		[]byte(`7],"shape":[1]}],"inputs":1}`))
	f.Add([]byte(`{"inputs":[{"data":[`), []byte("0.1234567890123456789,12345678901234567.5,"), []byte("5e-324]}]}"))
	j := startJudge(f)
	f.Fuzz(func(t *testing.T, before, often, behind []byte) {
		if len(often) == 0 || len(often) > 200 || len(before) > 1<<16 || len(behind) > 1<<16 {
			return
		}
		body := bytes.Join([][]byte{before, bytes.Repeat(often, 1+max(Small/len(often), 300)), behind}, nil)
		if packed, lists := Take(body); len(lists) > 0 {
			j.judge(t, body, packed, lists)
		}
	})
}
