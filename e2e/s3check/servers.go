package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/s3/check"
	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/minio"
	"github.com/unip-knative/unip/eventing/notification/seaweedfs"
	"github.com/unip-knative/unip/eventing/notification/versitygw"
	"github.com/unip-knative/unip/translate/installation"
)

// Keys of a server that is started here, on loopback, with nothing in it.
var startedKeys = s3.Keys{AccessKeyID: "unip-s3-check", SecretAccessKey: "unip-s3-check-secret"}

const (
	startedRegion = "us-east-1"
	startTimeout  = time.Minute
)

// place is what a server is told of where it runs.
type place struct {
	address, dir, webhook string
}

// kind is a kind of server.
type kind struct {
	args, env func(p place) []string
	// files of its configuration, below its folder; may be nil.
	files func(p place) map[string]string
	// sts says that it gives sessions, arn is where it is told to tell of changes; "" is of its own
	// accord.
	sts bool
	arn string
	// parse reads what it tells; nil where it tells nothing.
	parse func([]byte) ([]notification.Record, error)
}

var kinds = map[string]kind{
	"minio": {
		args: func(p place) []string { return []string{"server", "--quiet", "--address", p.address, p.dir} },
		env: func(p place) []string {
			return []string{
				"MINIO_ROOT_USER=" + startedKeys.AccessKeyID, "MINIO_ROOT_PASSWORD=" + startedKeys.SecretAccessKey,
				"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on",
				"MINIO_NOTIFY_WEBHOOK_ENABLE_UNIP=on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_UNIP=" + p.webhook,
			}
		},
		sts: true, arn: "arn:minio:sqs::UNIP:webhook", parse: minio.Parse,
	},
	"versitygw": {
		args: func(p place) []string {
			return []string{"--port", p.address, "--region", startedRegion, "--quiet", "posix", p.dir}
		},
		env: func(p place) []string {
			return []string{"ROOT_ACCESS_KEY=" + startedKeys.AccessKeyID,
				"ROOT_SECRET_KEY=" + startedKeys.SecretAccessKey, "VGW_EVENT_WEBHOOK_URL=" + p.webhook}
		},
		parse: versitygw.Parse,
	},
	"seaweedfs": {
		args: func(p place) []string {
			host, port, _ := net.SplitHostPort(p.address)
			return []string{"-config_dir=" + p.dir, "-logtostderr", "server", "-dir=" + p.dir, "-ip=" + host,
				"-ip.bind=" + host, "-filer", "-s3", "-s3.port=" + port, "-s3.config=" + p.dir + "/s3.json",
				"-s3.iam.config=" + p.dir + "/iam.json", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
				"-volume.max=500", "-volume.preStopSeconds=0"}
		},
		env: func(place) []string { return nil },
		files: func(p place) map[string]string {
			return map[string]string{
				// A new one would wait for servers of old.
				"master.toml": "[master.volume_growth]\ncopy_1 = 1\nallocation_deferral = \"0s\"\n",
				"s3.json": fmt.Sprintf(`{"identities":[{"name":%q,"actions":["Admin"],`+
					`"credentials":[{"accessKey":%[1]q,"secretKey":%q}]}]}`, startedKeys.AccessKeyID, startedKeys.SecretAccessKey),
				"iam.json": fmt.Sprintf(`{"sts":{"issuer":"seaweedfs","tokenDuration":"1h","maxSessionLength":"168h",`+
					`"signingKey":%q}}`, base64.StdEncoding.EncodeToString([]byte(startedKeys.SecretAccessKey))),
				"notification.toml": fmt.Sprintf("[notification.webhook]\nenabled = true\nendpoint = %q\n"+
					"path_prefixes = [%q]\n", p.webhook, "/buckets/"),
			}
		},
		sts: true, parse: seaweedfs.Parse,
	},
}

func serverNames() string { return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ") }

// start starts a server that ends with the function that is given.
func start(ctx context.Context, name, program string) (s check.Server, end func(), err error) {
	k, ok := kinds[name]
	if !ok || program == "" {
		return s, nil, fmt.Errorf("--server is one of %s, and --program its program", serverNames())
	}
	var undo []func()
	end = func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	dir, err := os.MkdirTemp("", "s3check-")
	if err != nil {
		return s, nil, err
	}
	undo = append(undo, func() { os.RemoveAll(dir) })
	p := place{dir: filepath.Join(dir, "data")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return s, nil, err
	}
	var told *receiver
	if k.parse != nil {
		if told, err = receive(k.parse); err != nil {
			return s, nil, err
		}
		undo = append(undo, told.close)
		p.webhook = told.url
	}
	if k.files != nil {
		for file, text := range k.files(p) {
			if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o600); err != nil {
				return s, nil, err
			}
		}
	}
	if p.address, err = freeAddress(); err != nil {
		return s, nil, err
	}
	kill, err := spawn(ctx, exec.Command(program, k.args(p)...), k.env(p), filepath.Join(dir, "log"), p.address)
	undo = append(undo, kill)
	if err != nil {
		return s, nil, err
	}
	s = check.Server{Endpoint: "http://" + p.address, Region: startedRegion, Keys: startedKeys}
	if k.sts {
		s.Session = assume(s3.STS{Endpoint: s.Endpoint, Region: s.Region, Parent: s.Keys,
			NoDelimiter: name == string(installation.SeaweedFS)})
	}
	if k.arn != "" {
		s.Notify = notify(k.arn)
	}
	if told != nil {
		s.Told = told.wait
	}
	return s, end, nil
}

// spawn starts the process and waits until it answers.
func spawn(ctx context.Context, cmd *exec.Cmd, env []string, log, address string) (kill func(), err error) {
	f, err := os.Create(log)
	if err != nil {
		return func() {}, err
	}
	defer f.Close()
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = append(os.Environ(), env...), f, f, filepath.Dir(log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return func() {}, err
	}
	kill = func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, nil)
		if err != nil {
			return kill, err
		}
		resp, err := http.DefaultClient.Do(q)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError { // it asks for keys
				return kill, nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log)
			return kill, fmt.Errorf("%s does not answer: %w\n%s", cmd.Path, err, text[max(0, len(text)-4000):])
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
