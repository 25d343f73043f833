// Package dev starts `unip dev` and drives the module that it serves as users do. Few packages go
// into it, for who shows `unip dev` is built with it, from nothing.
package dev

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what is started, and who calls.
type Options struct {
	Program        string   // unip-dev
	Args           []string // of it; --port and -o are added
	User, Password string
}

// Happening is what unip dev tells in a line.
type Happening struct {
	Kind    string            `json:"kind"`
	Names   map[string]string `json:"names"`
	Text    string            `json:"text"`
	Failed  bool              `json:"failed"`
	Seconds float64           `json:"seconds"`
	URL     string            `json:"url"` // of the module, in the first line
}

// Module is a module that is being served.
type Module struct {
	URL     string
	options Options
	cmd     *exec.Cmd
	told    chan Happening
	done    chan struct{} // closed when the process has ended
	err     error         // how; to be read after done

	mu   sync.Mutex
	said []string // the last lines, for errors
}

// startTime bounds how long it takes to be served, on a busy machine.
const startTime = time.Minute

// Start starts a module and waits until it is served. It ends with the context.
func Start(ctx context.Context, o Options) (*Module, error) {
	m := &Module{options: o, told: make(chan Happening, 1000), done: make(chan struct{})}
	m.cmd = exec.CommandContext(ctx, o.Program, slices.Concat(o.Args, []string{"--port", "0", "-o", "json"})...)
	m.cmd.Cancel = func() error { return m.cmd.Process.Signal(syscall.SIGTERM) }
	m.cmd.WaitDelay = endTime
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for who has started it
	out, in := io.Pipe()
	m.cmd.Stdout, m.cmd.Stderr = in, in
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		m.err = m.cmd.Wait()
		in.Close()
	}()
	go m.listen(out)
	starting, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it does not serve within %s", startTime))
	defer cancel()
	err := m.Await(starting, func(h Happening) (bool, error) {
		m.URL = h.URL
		return h.Kind == "serving", nil
	})
	if err != nil {
		_ = m.cmd.Process.Kill() // it may have ended
		<-m.done
		return nil, err
	}
	return m, nil
}

// listen takes what is told, until the end.
func (m *Module) listen(r io.Reader) {
	defer close(m.done)
	defer close(m.told)
	const longest, kept = 1 << 20, 20
	s := bufio.NewScanner(r)
	s.Buffer(nil, longest)
	for s.Scan() {
		m.mu.Lock()
		m.said = append(m.said, s.Text())[max(0, len(m.said)+1-kept):]
		m.mu.Unlock()
		var h Happening
		if json.Unmarshal(s.Bytes(), &h) != nil {
			continue // a word of standard error
		}
		select {
		case m.told <- h:
		default: // nobody listens
		}
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

func (m *Module) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.said, "\n")
}

// Await takes what is told until told says that it was the last, or gives an error.
func (m *Module) Await(ctx context.Context, told func(Happening) (last bool, err error)) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; unip dev has said\n%s", context.Cause(ctx), m.last())
		case h, more := <-m.told:
			if !more {
				return fmt.Errorf("unip dev has ended: %w\n%s", m.err, m.last())
			}
			last, err := told(h)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, m.last())
			}
			if last {
				return nil
			}
		}
	}
}

// Pid is the process of unip dev itself.
func (m *Module) Pid() int { return m.cmd.Process.Pid }

// endTime is how long unip dev may take to end.
const endTime = 5 * time.Second

// Stop ends it as Ctrl-C does.
func (m *Module) Stop() error {
	_ = m.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-m.done:
	case <-time.After(endTime):
		_ = m.cmd.Process.Kill() // it may have ended
		<-m.done
		return fmt.Errorf("unip dev has not ended within %s\n%s", endTime, m.last())
	}
	if m.err != nil {
		return fmt.Errorf("unip dev has ended: %w\n%s", m.err, m.last())
	}
	return nil
}

// Request is one call of the module's API. Without a user it is that of the options.
type Request struct {
	Method, Path   string // below the module's URL
	User, Password string
	Body           any // encoded as JSON; nil for none
}

// Answer is what a call brought back.
type Answer struct {
	Status int
	Body   []byte
	Took   time.Duration
}

// maxAnswer bounds what is read.
const maxAnswer = 64 << 20

// Call sends a request. Statuses other than 2xx are answers, not errors.
func (m *Module) Call(ctx context.Context, r Request) (*Answer, error) {
	var body io.Reader
	if r.Body != nil {
		b, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, m.URL+r.Path, body)
	if err != nil {
		return nil, err
	}
	if r.User == "" {
		r.User, r.Password = m.options.User, m.options.Password
	}
	req.SetBasicAuth(r.User, r.Password)
	return send(req)
}

func send(req *http.Request) (*Answer, error) {
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return &Answer{Status: resp.StatusCode, Body: b, Took: time.Since(begin)}, err
}

// ask calls what answers with JSON and one of two hundreds.
func (m *Module) ask(ctx context.Context, r Request, v any) (*Answer, error) {
	a, err := m.Call(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.Status >= http.StatusMultipleChoices {
		return a, fmt.Errorf("%s %s answered %d: %s", r.Method, r.Path, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return a, fmt.Errorf("%s %s answered %s: %w", r.Method, r.Path, a.Body, err)
	}
	return a, nil
}

// Upload stores a file of the user: a link from the file API, and the bytes to it.
func (m *Module) Upload(ctx context.Context, path string, data []byte) error {
	var link struct {
		Put string `json:"presigned_put_url"`
	}
	if _, err := m.ask(ctx, Request{Method: http.MethodPut, Path: "/files/" + path + "?overwrite=true"},
		&link); err != nil {
		return err
	}
	_, err := follow(ctx, http.MethodPut, link.Put, bytes.NewReader(data))
	return err
}

// Download fetches a file of the user.
func (m *Module) Download(ctx context.Context, path string) ([]byte, error) {
	var link struct {
		Get string `json:"presigned_get_url"`
	}
	if _, err := m.ask(ctx, Request{Method: http.MethodGet, Path: "/files/" + path}, &link); err != nil {
		return nil, err
	}
	return follow(ctx, http.MethodGet, link.Get, http.NoBody)
}

func follow(ctx context.Context, method, link string, body io.Reader) ([]byte, error) {
	if link == "" {
		return nil, errors.New("the file API gave no link")
	}
	req, err := http.NewRequestWithContext(ctx, method, link, body)
	if err != nil {
		return nil, err
	}
	a, err := send(req)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("the storage answered %d: %s", a.Status, a.Body)
	}
	return a.Body, nil
}

// Run is what the pipelines API says of a run.
type Run struct {
	Status  string            `json:"status"`
	Message string            `json:"message"`
	Outputs map[string]string `json:"outputs"`
}

// Run asks for a run.
func (m *Module) Run(ctx context.Context, id string) (r Run, err error) {
	_, err = m.ask(ctx, Request{Method: http.MethodGet, Path: "/pipelines/runs/" + id}, &r)
	return r, err
}

// Input is one of a call of predict.
type Input struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape,omitempty"`
	Data     any    `json:"data"`
}

// Predict calls the function of an API, and decodes its first output into v.
func (m *Module) Predict(ctx context.Context, path string, v any, inputs ...Input) (*Answer, error) {
	var out struct {
		Outputs []struct{ Data json.RawMessage }
	}
	a, err := m.ask(ctx, Request{Method: http.MethodPost, Path: "/" + path + "/predict",
		Body: map[string]any{"inputs": inputs}}, &out)
	if err != nil {
		return a, err
	}
	if len(out.Outputs) == 0 {
		return a, fmt.Errorf("predict answered without outputs: %s", a.Body)
	}
	return a, json.Unmarshal(out.Outputs[0].Data, v)
}
