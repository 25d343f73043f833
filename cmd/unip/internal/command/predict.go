package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/predict"
	"github.com/unip-knative/unip/eventing/printable"
)

const (
	// maxRequest bounds what is read for a request; an inference server takes 64 MiB unless told
	// otherwise.
	maxRequest = 256 << 20
	// sayWaitingAfter is how long a call goes on before it is said that it does.
	sayWaitingAfter = 2 * time.Second
	// redialAfter is when an address that nobody listens at is tried again, maxRetryAfter the most
	// that a server can ask for.
	redialAfter, maxRetryAfter = 200 * time.Millisecond, 30 * time.Second
)

// prediction is what `unip predict` is told.
type prediction struct {
	option.Module
	file, parameters, modelKey string
	inputs, fields             []string
	timeout                    time.Duration
	wait                       bool
}

func predictCommand() *cobra.Command {
	p := &prediction{}
	c := &cobra.Command{
		Use:   "predict URL|PATH",
		Short: "Call the inference function of an MLComponent",
		Long: `Predict calls an MLComponent: at a URL, with or without /predict at its end, or at the PATH of its
API in the module of --url. The request is a file as it is (-f), or made of --input:

  --input NAME=VALUE           a JSON number, list, object or string is that, everything else
                               text; whole numbers are INT32, others FP64
  --input NAME=@FILE           the same of a file's content, of standard input with @-
  --input NAME:DATATYPE=VALUE  a datatype of your choice: FP32, str, dict …; of FILE the value is
                               a path in a box, <box>/<group>/<file>

The answer is written as NAME: VALUE, long lists shortened; with -o json as it came. When the call
is refused, what is wrong goes to standard error, with its place in the file, and the exit code is
1; it is 3 when the component, or the way to it, failed.`,
		Example: `  unip predict http://127.0.0.1:8002 --input text=hello
  unip predict digits --url https://mlops.example.org/pu-ann-pa-digits -u ann -f request.json -o json
  unip predict digits --input 'image=[0, 0, 5, 13]' --output-field digit --wait`,
		Args: exactArgs("URL|PATH"),
		RunE: func(c *cobra.Command, args []string) error { return p.run(c, args[0]) },
	}
	p.AddFlags(c)
	f := c.Flags()
	f.StringVarP(&p.file, "filename", "f", "", "file with the request, or - for standard input; it is sent as it is")
	f.StringArrayVar(&p.inputs, "input", nil, "an input, NAME=VALUE, NAME=@FILE or NAME:DATATYPE=VALUE; several times")
	f.StringArrayVar(&p.fields, "output-field", nil, "an output that is wanted; several times (default: all)")
	f.StringVar(&p.parameters, "parameters", "", "the request's parameters, a JSON list or object, or @FILE")
	f.StringVar(&p.modelKey, "model-key", "", "the request's model_key")
	f.DurationVar(&p.timeout, "timeout", 10*time.Minute,
		"how long all of it may take: the component wakes up, loads its model, and the function runs")
	f.BoolVar(&p.wait, "wait", false,
		"until the timeout, try again when nobody listens at the address, "+
			"or the server says when to come again (503 with Retry-After)")
	cobra.CheckErr(c.MarkFlagFilename("filename", "json"))
	return c
}

func (p *prediction) run(c *cobra.Command, target string) error {
	if err := p.Output.Check(); err != nil {
		return err
	}
	u, err := p.targetURL(target)
	if err != nil {
		return err
	}
	m := &gateway.Client{Host: p.Host, HTTP: option.HTTPClient(0)} // the context bounds it
	m.HTTP.CheckRedirect = followSameCall
	if p.PasswordStdin && p.readsStdin() {
		return exit.Errorf(exit.UsageWrong,
			"standard input is the password already (--password-stdin): the request must come from a file")
	}
	if err := p.Login(m); err != nil {
		return err
	}
	p.WarnIfReadable(u, m)
	body, err := p.requestBody(c.InOrStdin())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), p.timeout)
	defer cancel()
	answer, err := p.callComponent(ctx, c.ErrOrStderr(), m, u.String(), body)
	if err != nil {
		return p.explainError(ctx, c.ErrOrStderr(), err, body)
	}
	if !p.Output.JSON() {
		_, err = io.WriteString(c.OutOrStdout(), predict.Text(answer))
		return err
	}
	return writeAnswer(c.OutOrStdout(), answer)
}

// writeAnswer writes an answer as it came; on a terminal in printable characters.
func writeAnswer(w io.Writer, answer []byte) error {
	if output.IsTerminal(w) {
		if json.Valid(answer) {
			answer = printable.JSON(answer)
		} else {
			answer = []byte(printable.Text(string(answer)))
		}
	}
	if n := len(answer); n > 0 && answer[n-1] != '\n' {
		answer = append(answer, '\n')
	}
	_, err := w.Write(answer)
	return err
}

// targetURL is the URL of predict: a URL, or the path of an API in the module.
func (p *prediction) targetURL(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		if p.URL == "" {
			return nil, exit.Errorf(exit.UsageWrong,
				"%q is no URL (http://… or https://…); for the path of an API, --url or UNIP_URL must name the module: "+
					"https://<host>/<namespace>", s)
		}
		s = strings.TrimSuffix(p.URL, "/") + "/" + strings.Trim(s, "/")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, exit.Errorf(exit.UsageWrong, "%q is not a URL with http or https", s)
	case u.User != nil:
		return nil, exit.Errorf(exit.UsageWrong,
			"the URL has a user in it: on a command line everybody on this machine can read a password; use --user, and "+
				"UNIP_PASSWORD, --password-file or --password-stdin")
	}
	if !strings.HasSuffix(u.Path, "/predict") {
		u = u.JoinPath("predict")
	}
	return u, nil
}

// followSameCall follows a redirect only if what is sent stays what it is: the method and, once
// https, https.
func followSameCall(to *http.Request, via []*http.Request) error {
	switch first := via[0]; {
	case len(via) == 10:
		return errors.New("10 redirects, and no end")
	case to.Method != first.Method:
		return fmt.Errorf("it redirects to %s, and not as a call that goes on there (307, 308); call that URL",
			to.URL.Redacted())
	case first.URL.Scheme == "https" && to.URL.Scheme != "https":
		return fmt.Errorf("it redirects from https to %s", to.URL.Redacted())
	}
	return nil
}

// readsStdin reports whether standard input is part of the request.
func (p *prediction) readsStdin() bool {
	used := p.file == "-" || p.parameters == "@-"
	for _, in := range p.inputs {
		used = used || strings.HasSuffix(in, "=@-")
	}
	return used
}

// requestBody is the request: a file as it is, or made of the flags.
func (p *prediction) requestBody(stdin io.Reader) ([]byte, error) {
	readFile := func(name string) ([]byte, error) { return readBounded(name, stdin) }
	if p.file != "" {
		if len(p.inputs)+len(p.fields) > 0 || p.parameters != "" || p.modelKey != "" {
			return nil, exit.Errorf(exit.UsageWrong,
				"-f is the whole request: --input, --output-field, --parameters and --model-key stand in its place")
		}
		b, err := readFile(p.file)
		if err != nil {
			return nil, exit.Because(exit.InputWrong, err)
		}
		return b, nil
	}
	r := predict.Request{Inputs: []predict.Input{}, ModelKey: p.modelKey}
	for _, arg := range p.inputs {
		in, err := predict.ParseInput(arg, readFile)
		if err != nil {
			return nil, exit.Errorf(exit.InputWrong, "--input: %w", err)
		}
		r.Inputs = append(r.Inputs, in)
	}
	for _, name := range p.fields {
		r.OutputFields = append(r.OutputFields, predict.Field{Name: name})
	}
	if p.parameters != "" {
		b := []byte(p.parameters)
		if file, ok := strings.CutPrefix(p.parameters, "@"); ok {
			var err error
			if b, err = readFile(file); err != nil {
				return nil, exit.Because(exit.InputWrong, err)
			}
		}
		var err error
		if r.Parameters, err = predict.Parameters(b); err != nil {
			return nil, exit.Errorf(exit.InputWrong, "--parameters: %w", err)
		}
	}
	return json.Marshal(r)
}

// readBounded reads a file, or standard input for -.
func readBounded(name string, stdin io.Reader) ([]byte, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxRequest+1))
	if err == nil && len(b) > maxRequest {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxRequest>>20)
	}
	return b, err
}

// callComponent calls, again and again when it shall wait.
func (p *prediction) callComponent(
	ctx context.Context, stderr io.Writer, m *gateway.Client, u string, body []byte,
) ([]byte, error) {
	slow := time.AfterFunc(sayWaitingAfter, func() {
		fmt.Fprintln(stderr, "waiting for the component, which may have to wake up …")
	})
	defer slow.Stop()
	for {
		answer, err := m.Predict(ctx, u, body)
		var answered *gateway.Error
		again := time.Duration(0)
		switch {
		case err == nil || !p.wait:
			return answer, err
		case errors.Is(err, syscall.ECONNREFUSED):
			again = redialAfter
		case errors.As(err, &answered) && answered.Status == http.StatusServiceUnavailable:
			again = min(answered.RetryAfter, maxRetryAfter)
		}
		if again == 0 {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); (ok && time.Until(deadline) < again) || pause(ctx, again) != nil {
			return nil, err
		}
	}
}

var inputPointer = regexp.MustCompile(`^/inputs/(\d+)(/|$)`)

// explainError tells what is wrong, with the place of each fault in the request.
func (p *prediction) explainError(ctx context.Context, stderr io.Writer, err error, body []byte) error {
	var e *gateway.Error
	if !errors.As(err, &e) {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %s; --timeout gives it more time", p.timeout)
		}
		return err
	}
	file := filepath.Clean(p.file)
	if p.file == "-" {
		file = "<stdin>"
	}
	for _, fault := range e.Errors {
		where := ""
		if at := predict.Place(body, fault.Pointer); p.file != "" && at != "" {
			where = file + ":" + at + ": "
		} else if i := inputPointer.FindStringSubmatch(fault.Pointer); i != nil {
			if n, err := strconv.Atoi(i[1]); err == nil && n < len(p.inputs) {
				name, _, _ := strings.Cut(p.inputs[n], "=")
				where = "--input " + name + ": "
			}
		}
		if !p.Output.JSON() { // there they are part of the error
			fmt.Fprintln(stderr, printable.Line(where+fault.Detail))
		}
		if fault.Detail == e.Detail && e.Title != "" && !p.Output.JSON() {
			e.Detail = "" // said once is enough
		}
	}
	if e.Status == http.StatusServiceUnavailable && e.RetryAfter > 0 && !p.wait {
		fmt.Fprintln(stderr, "with --wait it is tried again until the component can answer")
	}
	return asRefused(err)
}
