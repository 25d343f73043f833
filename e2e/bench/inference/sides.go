package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// side is one server and how it is called.
type side struct {
	key, name string
	path      string // of a call
	ours      bool
	binary    bool // the tensor goes in binary, by the Open Inference Protocol's extension
	echoes    bool // the answer is the request
	commands  func(e environment, workers int) []command
}

// environment is where a side is started.
type environment struct {
	server, python, worker string // our server's binary; Python; worker.py
	dir                    string // the peers' sources are in it
	own                    string // a folder of this side alone
	port                   int
}

// component is the name of ours, which is in the Open Inference Protocol's path.
const component = "sum"

var sides = []side{
	{key: "unip", ours: true, name: "unip", path: "/predict", commands: unip()},
	{key: "unip-std", ours: true, name: "unip, image without orjson", path: "/predict", commands: unip("-S")},
	{key: "unip-binary", ours: true, name: "unip, binary tensor", path: "/v2/models/" + component + "/infer",
		binary: true, commands: unip()},
	{key: "unip-binary-std", ours: true, name: "unip, binary tensor, image without numpy",
		path: "/v2/models/" + component + "/infer", binary: true, commands: unip("-S")},
	{key: "fastapi", name: "FastAPI, `async def`", path: "/predict", commands: uvicorn},
	{key: "fastapi-plain", name: "FastAPI, `def`", path: "/plain/predict", commands: uvicorn},
	{key: "flask", name: "Flask, gunicorn", path: "/predict", commands: gunicorn("on_flask:app")},
	{key: "aiohttp", name: "aiohttp, gunicorn", path: "/predict",
		commands: gunicorn("on_aiohttp:app", "--worker-class", "aiohttp.GunicornUVLoopWebWorker")},
	{key: "go", name: "bare Go echo", path: "/", echoes: true, commands: func(e environment, _ int) []command {
		self, _ := os.Executable() // Linux always knows
		return []command{{args: []string{self, "--echo", e.address()}}}
	}},
}

func (e environment) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)) }

// unip are server and worker as the two containers of a pod run them. The flag -S keeps Python from
// what its distribution or image has installed.
func unip(flags ...string) func(e environment, workers int) []command {
	return func(e environment, workers int) []command {
		n, socket := strconv.Itoa(workers), filepath.Join(e.own, "socket")
		worker := append(append([]string{e.python}, flags...), e.worker, "--socket", socket, "--inference",
			"function:predict", "--workers", n)
		return []command{
			{args: []string{e.server, "--component", component, "--port", strconv.Itoa(e.port), "--socket", socket,
				"--key", filepath.Join(e.own, "key"), "--anonymous-calls", "--workers", n},
				env: []string{"GOMEMLIMIT=460MiB"}}, // as in its container, of 512 MiB
			{args: worker},
		}
	}
}

func uvicorn(e environment, workers int) []command {
	return []command{{
		args: []string{e.python, "-m", "uvicorn", "on_fastapi:app", "--loop", "uvloop", "--http", "httptools", "--port",
			strconv.Itoa(e.port), "--workers", strconv.Itoa(workers)},
		env: shared(e, workers),
	}}
}

func gunicorn(app string, flags ...string) func(e environment, workers int) []command {
	return func(e environment, workers int) []command {
		args := []string{e.python, "-m", "gunicorn", app, "--bind", e.address(), "--access-logfile", "-", "--workers",
			strconv.Itoa(workers)}
		return []command{{args: append(args, flags...), env: shared(e, workers)}}
	}
}

// shared is the folder in which the Prometheus client of several processes keeps its figures.
func shared(e environment, workers int) []string {
	if workers == 1 {
		return nil
	}
	return []string{"PROMETHEUS_MULTIPROC_DIR=" + e.own}
}

// tensor is what is sent. Its elements are sixty-fourths, which every form carries exactly and
// whose sum is exact in any order.
type tensor []float32

func (t tensor) sum() float64 {
	total := 0.0
	for _, v := range t {
		total += float64(v)
	}
	return total
}

// element is a fixed pattern without a short period.
func element(i int) float32 { return float32(uint32(i)*2654435761>>26) / 64 }

// ofJSON is a tensor whose request in JSON has about that many bytes.
func ofJSON(size int) tensor {
	t := tensor{}
	for length := len(t.json()); length < size; length += len(strconv.FormatFloat(float64(t[len(t)-1]), 'g', -1,
		32)) + 1 {
		t = append(t, element(len(t)))
	}
	return t
}

func ofBytes(size int) tensor {
	t := make(tensor, size/4)
	for i := range t {
		t[i] = element(i)
	}
	return t
}

// question is what a call asks for: the sum of the tensor, or an embedding, as many numbers as its
// one element says.
type question struct {
	tensor
	embedding int
}

// embedded is a number of an embedding, the same in function.py: a fixed pattern with as many
// digits as numbers of models have.
func embedded(i int) float64 { return float64(uint32(i)*2654435761)/(1<<32) - 0.5 }

func (t tensor) json() []byte { return question{t, 0}.json() }

func (q question) json() []byte {
	name := "x"
	if q.embedding > 0 {
		name = "embedding"
	}
	t := q.tensor
	b := fmt.Appendf(nil, `{"inputs":[{"name":"%s","datatype":"FP32","shape":[%d],"data":[`, name, len(t))
	for i, v := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
	}
	return append(b, "]}]}"...)
}

// request is the whole HTTP request of a call to a side.
func (q question) request(s side) []byte {
	t := q.tensor
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n", s.path)
	if !s.binary {
		body := q.json()
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return b.Bytes()
	}
	head := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"parameters":{"binary_data_size":%d}}]}`,
		len(t), 4*len(t))
	fmt.Fprintf(&b,
		"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s",
		len(head), len(head)+4*len(t), head)
	for _, v := range t {
		b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), math.Float32bits(v)))
	}
	return b.Bytes()
}

// errAbsent: the side does not have what the case asks for.
var errAbsent = errors.New("answers 404: not built in")

// startTime bounds how long a side takes from its start to its first right answer.
const startTime = 60 * time.Second

// instance is a side that is up for one case, with its question and the answer that it gives to it,
// which has been found right.
type instance struct {
	side
	processes       []*process
	address         string
	request, answer []byte
}

func (i *instance) stop() {
	for _, p := range i.processes {
		p.stop()
	}
}

// start starts a side and asks it until it answers, and rightly.
func start(ctx context.Context, s side, e environment, workers int, q question) (*instance, error) {
	i := &instance{side: s, address: e.address(), request: q.request(s)}
	for n, c := range s.commands(e, workers) {
		p, err := launch(c, e.dir, filepath.Join(e.own, fmt.Sprintf("output%d", n)))
		if err != nil {
			i.stop()
			return nil, err
		}
		i.processes = append(i.processes, p)
	}
	c := &connection{address: i.address}
	defer c.close()
	// small: who refuses a large one may close before it is written
	status, first := 0, question{tensor: tensor{element(0)}}.request(s)
	err := await(ctx, startTime, func() bool {
		var err error
		status, _, err = c.call(first)
		return err == nil && status != http.StatusServiceUnavailable
	})
	if err == nil && status == http.StatusNotFound {
		err = errAbsent
	}
	if err == nil {
		status, i.answer, err = c.call(i.request)
		i.answer = bytes.Clone(i.answer)
	}
	if err == nil {
		err = i.right(status, q)
	}
	if err == nil {
		return i, nil
	}
	i.stop()
	if errors.Is(err, errAbsent) {
		return nil, err
	}
	for _, p := range i.processes {
		err = fmt.Errorf("%w\n%s", err, p.said())
	}
	return nil, fmt.Errorf("%s: %w", s.name, err)
}

// right checks the answer: the one output is the sum of the tensor, or the embedding.
func (i *instance) right(status int, q question) error {
	if status != http.StatusOK {
		return fmt.Errorf("answered %d %.300q", status, i.answer)
	}
	if i.echoes {
		if !bytes.HasSuffix(i.request, i.answer) || len(i.answer) == 0 {
			return fmt.Errorf("answered %.100q, not what it was sent", i.answer)
		}
		return nil
	}
	var a struct {
		Outputs []struct {
			Name string
			Data []float64
		}
	}
	if err := json.Unmarshal(i.answer, &a); err != nil {
		return err
	}
	name, want := "sum", []float64{q.sum()}
	if q.embedding > 0 {
		name, want = "embedding", nil
		for n := range q.embedding {
			want = append(want, embedded(n))
		}
	}
	if len(a.Outputs) != 1 || a.Outputs[0].Name != name || !slices.Equal(a.Outputs[0].Data, want) {
		return fmt.Errorf("answered %.300q, want the %s %.10v", i.answer, name, want)
	}
	return nil
}
