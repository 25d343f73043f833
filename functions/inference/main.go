// Command inference is the container `server` of an MLComponent: the HTTP front of one Python
// function. It holds the S3 session and the module's key, which the function's container does not;
// the two share a Unix socket and the folder of the model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/accesslog"
	"github.com/unip-knative/unip/functions/inference/internal/modelbox"
	"github.com/unip-knative/unip/functions/inference/service"
)

// options are the flags; the translator writes them.
type options struct {
	component, socket, key string
	// as the manifests have them: the component's name without a prefix; the file with the module's
	// namespace
	name, namespace             string
	files, sessions             string
	boxes                       boxFlags
	session, object, file, path string
	port, workers, queue        int
	timeout                     time.Duration
	updates, next               string
	pace                        time.Duration // of looks for a newer model
	metrics                     string
	maxBody                     int64
	accessLog                   bool
	mounts                      string
	mountDir, mountSessions     string
	anonymous                   bool
}

func main() {
	var o options
	flag.StringVar(&o.component, "component", os.Getenv("K_SERVICE"), "name of the Knative Service")
	flag.IntVar(&o.port, "port", 8002, "port of HTTP")
	flag.StringVar(&o.socket, "socket", "/unip/run/worker.sock", "Unix socket for the workers")
	flag.StringVar(&o.key, "key", "/unip/key/key", "file with the module's key")
	flag.StringVar(&o.session, "session", "/unip/session/model.json", "file with the S3 session of the model's box")
	flag.StringVar(&o.object, "model-object", "",
		"key of the model in its box; ending in / it is a folder; empty for none")
	flag.StringVar(&o.file, "model-file", "", "where the model goes in this container")
	flag.StringVar(&o.path, "model-path", "", "the same place in the function's container")
	flag.StringVar(&o.updates, "model-updates", updatesSwap,
		"how a newer model is taken up: swap, a worker loads it beside the one that it replaces; restart, after that has"+
			" ended; off, not at all")
	flag.StringVar(&o.next, "model-next", "/unip/next",
		"folder for every other version of the model, under the same path in the function's container")
	flag.StringVar(&o.name, "name", "",
		"name of the component in its manifest; what -component has before it, names of boxes have, too")
	flag.StringVar(&o.namespace, "namespace-file", "/unip/pod/namespace", "file with the module's namespace")
	flag.Var(&o.boxes, "box", "a box that the component is connected to, NAME or NAME:read; may be given again")
	flag.StringVar(&o.sessions, "boxes", "/unip/boxes", "folder with one folder per box, with its session")
	flag.StringVar(&o.files, "files", "/unip/files",
		"folder for the files of calls, under the same path in the function's container, where it can be read")
	flag.StringVar(&o.mounts, "mounts", "", "the folders that connectedBoxes mount, as JSON; empty for none")
	flag.StringVar(&o.mountDir, "mount-folders", "/unip/mounts",
		"folder with one folder per mount, each of which the function's container has at its path")
	flag.StringVar(&o.mountSessions, "mount-sessions", "/unip/mount-sessions",
		"folder with one folder per mount, with its sessions")
	flag.IntVar(&o.workers, "workers", 1, "how many workers there are")
	flag.IntVar(&o.queue, "queue", 100, "how many calls may wait for each worker")
	flag.DurationVar(&o.timeout, "timeout", 300*time.Second, "how long one call of the function may take")
	flag.StringVar(&o.metrics, "metrics-address", ":9464",
		`where /metrics is served without authentication; "0" is nowhere`)
	flag.Int64Var(&o.maxBody, "max-body", 64<<20, "the largest body of a request in bytes, at most 250 MiB")
	flag.BoolVar(&o.anonymous, "anonymous-calls", false,
		"answer calls without the gateway's signature, too; they have no user and no files")
	flag.BoolVar(&o.accessLog, "access-log", true, "write a line of the log for each request")
	o.pace = lookPace
	flag.Parse()
	limitMemory()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		slog.New(slog.NewJSONHandler(os.Stdout, nil)).Error("server ends", "error", err)
		// what cannot be written there is in the log
		_ = os.WriteFile("/dev/termination-log", []byte(err.Error()), 0o644)
		os.Exit(1)
	}
}

// Values of --model-updates.
const (
	updatesSwap    = "swap"
	updatesRestart = "restart"
	updatesOff     = "off"
)

// lookPace is how often the server looks for a newer model.
const lookPace = 15 * time.Second

// run serves until the context ends; the log goes to out.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.maxBody <= 0 || o.maxBody > maxMaxBody {
		return fmt.Errorf("--max-body is %d, it must be from 1 to %d", o.maxBody, maxMaxBody)
	}
	switch o.updates {
	case updatesSwap, updatesRestart, updatesOff:
	default:
		return fmt.Errorf("--model-updates is %q, it must be swap, restart or off", o.updates)
	}
	log := slog.New(slog.NewJSONHandler(out, nil))
	so := service.Options{
		Component: o.component, Socket: o.socket, Key: o.key, Workers: o.workers, Queue: o.queue, Timeout: o.timeout,
		MaxBody:  o.maxBody,
		Unsigned: o.anonymous, Image: true,
	}
	if o.accessLog {
		lines := accesslog.NewWriter(out)
		defer lines.Flush()
		so.AccessLog = lines.Log
	}
	tracer, flush, err := tracing(ctx, o.component, log)
	if err != nil {
		return err
	}
	defer flush()
	so.Tracer = tracer
	if o.object != "" {
		so.Model = &modelbox.Source{Session: o.session, Object: o.object, File: o.file, Path: o.path, Next: o.next,
			Log: log}
		so.InPlace = o.updates == updatesRestart
	}
	if len(o.boxes) > 0 {
		var err error
		if so.Files, err = filesOf(o, log); err != nil {
			return err
		}
	}
	if so.Mounts, err = mountsOf(o, log); err != nil {
		return err
	}
	s, err := service.New(so, log)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	look := func(ctx context.Context) error {
		err := s.Look(ctx)
		if err == nil && o.updates != updatesOff {
			s.Follow(ctx, o.pace)
		}
		return err
	}
	for _, begin := range []func(context.Context) error{s.Bring, look} {
		go func() {
			if err := begin(ctx); err != nil {
				end(err)
			}
		}()
	}
	if o.metrics != "0" {
		go serveMetrics(ctx, o.metrics, s.Metrics(), log)
	}
	if err := serve(ctx, o.port, s, o.timeout, log); err != nil {
		return err
	}
	why := context.Cause(ctx)
	if errors.Is(why, service.ErrInvalid) || errors.Is(why, service.ErrInvalidMounts) {
		return why
	}
	return nil
}
