package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

func logsCommand() *cobra.Command {
	o := &option.Module{}
	var stage string
	var attempt int
	var follow bool
	c := &cobra.Command{
		Use: "logs RUN", Short: "Show what the stages of a run have written", Args: exactArgs("RUN"),
		Long: `Logs shows what the stages of a run have written, in all their attempts, each below a line
"==> STAGE <==". With -f it goes on until the run has ended; stages that run side by side are shown so,
with the stage before each line. On a terminal characters that would steer it are shown as \x1b and the
like; into a pipe or a file the bytes go as they are.`,
		Example: `  unip logs train-7k2x9 --stage report
  unip logs train-7k2x9 -f`,
		ValidArgsFunction: completeRun(o),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			switch {
			case err != nil:
				return err
			case o.Output.JSON():
				return exit.Errorf(exit.UsageWrong, "a log is text; there is no -o json of it")
			case attempt != 0 && stage == "":
				return exit.Errorf(exit.UsageWrong, "--attempt is one of a stage: --stage is missing")
			}
			l := &logs{run: args[0], stage: stage, attempt: attempt, follow: follow, patience: streamPatience, m: m,
				stderr: c.ErrOrStderr(), logs: map[logName]*logState{}}
			out := &logWriter{w: c.OutOrStdout(), byLine: follow && stage == ""}
			if output.IsTerminal(c.OutOrStdout()) {
				shown := printable.NewWriter(c.OutOrStdout())
				out.w, out.flush = shown, shown.Flush
			}
			l.out = out
			return errors.Join(l.show(c.Context()), out.Flush())
		},
	}
	o.AddFlags(c)
	c.Flags().StringVar(&stage, "stage", "", "only this stage")
	c.Flags().IntVar(&attempt, "attempt", 0, "only this attempt of the stage, from 1 (default: all)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run, or the stage, has ended")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("stage", completeStage(o)))
	return c
}

// logName is one attempt of a stage.
type logName struct {
	stage   string
	attempt int
}

// String names the stage, and an attempt that is not the first.
func (n logName) String() string {
	if n.attempt <= 1 {
		return n.stage
	}
	return fmt.Sprintf("%s, attempt %d", n.stage, n.attempt)
}

// logState is how much of a log has been shown.
type logState struct {
	shown  int64
	reads  bool // now
	whole  bool // nothing more will come
	ending bool // when the read began, the attempt had ended
}

// logs shows the logs of a run: one after another, or side by side as they come.
type logs struct {
	run, stage string
	attempt    int
	follow     bool
	patience   time.Duration // with a stream
	m          *gateway.Client
	out        *logWriter
	stderr     io.Writer

	mu   sync.Mutex
	logs map[logName]*logState
	err  error // of writing
}

// streamPatience is how long a log is followed in one stream, then in another one: less than the 9
// minutes that the gateway follows it, so that the end of a stream is the end of the log.
const streamPatience = 8 * time.Minute

// maxLogsAtOnce bounds the streams that are open: the gateway has a bound for a user's.
const maxLogsAtOnce = 24

func (l *logs) show(ctx context.Context) error {
	if l.follow {
		return l.followAll(ctx)
	}
	run, err := l.m.Run(ctx, l.run)
	if err != nil {
		return asRefused(err)
	}
	wanted, _, err := l.wanted(run)
	if err != nil {
		return err
	}
	for _, name := range wanted {
		if err := l.read(ctx, name, &logState{}, false); err != nil {
			return asRefused(err)
		}
	}
	return nil
}

// wanted are the logs that there can be by now, and those of attempts that have ended.
func (l *logs) wanted(run record.Run) (all []logName, ended map[logName]bool, err error) {
	ended = map[logName]bool{}
	found := l.stage == ""
	for _, st := range run.Stages {
		if l.stage != "" && st.Name != l.stage {
			continue
		}
		found = true
		if l.attempt > st.Attempt && (run.Status.Done() || !l.follow) {
			return nil, nil, exit.Errorf(exit.Refused, "stage %s of run %s has %d attempts", printable.Line(st.Name),
				printable.Line(run.ID), st.Attempt)
		}
		for n := 1; n <= st.Attempt; n++ {
			if l.attempt == 0 || l.attempt == n {
				name := logName{st.Name, n}
				all = append(all, name)
				ended[name] = n < st.Attempt || st.Status.Done() || run.Status.Done()
			}
		}
	}
	if !found && (run.Status.Done() || len(run.Stages) > 0) {
		return nil, nil, exit.Errorf(exit.Refused, "run %s has no stage %q", printable.Line(run.ID), l.stage)
	}
	return all, ended, nil
}

// followAll looks at the run again and again, and reads the log of each attempt that has begun, until
// the run or the stage has ended and all of it is shown.
func (l *logs) followAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	ask := func(ctx context.Context) (record.Run, error) { return l.m.Run(ctx, l.run) }
	return watch(ctx, l.stderr, false, ask, func(run record.Run) (bool, error) {
		wanted, ended, err := l.wanted(run)
		if err != nil {
			return false, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		all, reading := true, 0
		for _, s := range l.logs {
			if s.reads {
				reading++
			}
		}
		for _, name := range wanted {
			s := l.logs[name]
			if s == nil {
				s = &logState{}
				l.logs[name] = s
			}
			all = all && s.whole
			if s.whole || s.reads || reading >= maxLogsAtOnce {
				continue
			}
			reading++
			s.reads, s.ending = true, ended[name]
			readers.Go(func() { l.readAside(ctx, name, s) })
		}
		return all && l.over(run), l.err
	})
}

// over reports that no attempt will follow.
func (l *logs) over(run record.Run) bool {
	if run.Status.Done() {
		return true
	}
	for _, st := range run.Stages {
		if st.Name == l.stage && (st.Status.Done() || l.attempt != 0 && l.attempt < st.Attempt) {
			return true
		}
	}
	return false
}

// readAside reads one log, and says whether that was all of it. What the gateway cuts off, or does not
// find yet, is read again when the run is looked at next.
func (l *logs) readAside(ctx context.Context, name logName, s *logState) {
	stream, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	err := l.read(stream, name, s, true)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.reads = false
	var wrong *writeError
	switch {
	case errors.As(err, &wrong):
		l.err = wrong.error
	case err == nil:
		s.whole = s.ending || s.shown > 0
	case !gateway.Passes(err) && ctx.Err() == nil:
		l.err = asRefused(err)
	}
}

// writeError is one of showing a log, not of reading it.
type writeError struct{ error }

// read shows a log from where it was shown before.
func (l *logs) read(ctx context.Context, name logName, s *logState, follow bool) error {
	body, err := l.m.Log(ctx, l.run, name.stage, name.attempt, follow)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.CopyN(io.Discard, body, s.shown); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // what is kept of a long log is its end, which has been shown
		}
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		s.shown += int64(n)
		if n > 0 {
			if err := l.out.write(name, buf[:n]); err != nil {
				return &writeError{err}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := l.out.end(name); err != nil {
				return &writeError{err}
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// logWriter joins logs: each after a line that names it, or each line after the name of its stage.
type logWriter struct {
	w      io.Writer
	flush  func() error
	byLine bool

	mu    sync.Mutex
	last  logName // whose text came last, where it is not by line
	open  bool    // its last line has not ended
	rests map[logName][]byte
}

// maxLine bounds how much of a line is kept until its end comes.
const maxLine = 64 << 10

func (w *logWriter) write(name logName, text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byLine {
		return w.writeLines(name, text)
	}
	head := ""
	if w.last != name {
		if w.open {
			head = "\n"
		}
		head += "==> " + printable.Line(name.String()) + " <==\n"
	}
	w.last, w.open = name, text[len(text)-1] != '\n'
	_, err := w.w.Write(append([]byte(head), text...))
	return err
}

func (w *logWriter) writeLines(name logName, text []byte) error {
	if w.rests == nil {
		w.rests = map[logName][]byte{}
	}
	rest := slices.Concat(w.rests[name], text)
	for {
		i := bytes.IndexByte(rest, '\n') + 1
		if i == 0 && len(rest) > maxLine {
			i = maxLine
		}
		if i == 0 {
			w.rests[name] = rest
			return nil
		}
		if err := w.writeLine(name, rest[:i]); err != nil {
			return err
		}
		rest = rest[i:]
	}
}

func (w *logWriter) writeLine(name logName, line []byte) error {
	b := append([]byte(printable.Line(name.String())+" | "), line...)
	if b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	_, err := w.w.Write(b)
	return err
}

// end shows a last line that has no end.
func (w *logWriter) end(name logName) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.rests[name]
	if len(rest) == 0 {
		return nil
	}
	delete(w.rests, name)
	return w.writeLine(name, rest)
}

// Flush shows what is left.
func (w *logWriter) Flush() error {
	var err error
	for name := range w.rests {
		err = errors.Join(err, w.end(name))
	}
	if w.flush != nil {
		err = errors.Join(err, w.flush())
	}
	return err
}
