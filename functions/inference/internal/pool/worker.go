package pool

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/openapi"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

// readBuffer of a worker's connection: an answer of usual size comes in one system call.
const readBuffer = 64 << 10

// greeting is the payload of frame.Hello.
type greeting struct {
	Role string `json:"role"` // worker or supervisor
	PID  int    `json:"pid"`
	// Spare: it is one worker more than there should be, to try a newer model.
	Spare bool `json:"spare"`
}

// Function is what a worker says of the function once it is imported.
type Function struct {
	Name string `json:"name"`
	// Description is what the function's docstring says.
	Description openapi.Description `json:"description"`
	// Arguments that the function declares, out of parameters, inputs, output_fields, model_key,
	// model, user.
	Arguments     []string `json:"arguments"`
	ImportSeconds float64  `json:"import_seconds"`
	Compiled
}

// Compiled is what a worker's Python had to compile, modules without a .pyc that can be used, until
// it could answer.
type Compiled struct {
	Files   int     `json:"compiled_files"`
	Seconds float64 `json:"compile_seconds"`
	// Folders of sys.path that they are in.
	Folders []string `json:"compiled_in"`
}

// worker is one Python process. Its connection is used by one goroutine: work's, once it takes
// calls.
type worker struct {
	pid  int
	conn net.Conn
	in   *bufio.Reader
	// handed is what in reads from; it takes the files that come with an answer.
	handed *rights.Reader
	exit   chan exit     // how it ended, from the supervisor; room for one
	dead   atomic.Bool   // it has ended, or its supervisor has
	gone   chan struct{} // closed at the same time

	killed  atomic.Value  // string: for what this server had it killed
	retired chan struct{} // closed when it is to take no more calls, and to end

	// the pool's mutex guards these
	serving bool   // it takes calls
	spare   bool   // it is one more than there should be
	model   *Model // that it was given, nil before
}

// why this server had the worker killed, "" if it had not.
func (w *worker) why() string {
	why, _ := w.killed.Load().(string)
	return why
}

// leaving reports whether the worker is to take no more calls.
func (w *worker) leaving() bool {
	select {
	case <-w.retired:
		return true
	default:
		return false
	}
}

// expect reads a frame that must be of one type and decodes it. A worker that says that it cannot
// start gives that as the error.
func (w *worker) expect(t frame.Type, into any) error {
	got, err := frame.Read(w.in)
	if err != nil {
		return err
	}
	if got.Type == frame.Failed {
		var f struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(got.Body, &f) // without a message the type says enough
		return fmt.Errorf("worker %d cannot start: %s", w.pid, f.Message)
	}
	if got.Type != t {
		return fmt.Errorf("worker %d sent a frame of type %d, want %d", w.pid, got.Type, t)
	}
	return json.Unmarshal(got.Body, into)
}
