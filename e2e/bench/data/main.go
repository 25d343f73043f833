// Command data measures what brings a stage's files in and out, `fetch` and `publish`, beside
// `s5cmd cp` on one MinIO of its own: many small files and one large one, in pairs that take turns
// in who is first.
//
// publish does more than s5cmd does: it hashes every file, writes the commit and copies what is
// committed to the user's folder. It is measured with such a copy and without, beside one and two
// commands of s5cmd.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
)

var (
	program = flag.String("stage", "bin/stage", "the program of fetch and publish")
	s5cmd   = flag.String("s5cmd", "s5cmd", "s5cmd")
	server  = flag.String("minio", "minio", "MinIO")
	rounds  = flag.Int("rounds", 7, "pairs of each; the median counts")
	small   = flag.Int("files", 3000, "how many small files")
	size    = flag.Int64("size", 4, "the size of a small file in bytes")
	large   = flag.Int64("large", 256, "the size of the large file in MiB")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bench is a server with a bucket, and a folder in which everything lies.
type bench struct {
	dir     string
	session databox.Session
	client  *minio.Client
	server  *os.Process
}

// Keys of the server, and the bucket in which all lies.
const (
	accessKey, secretKey = "unip-bench", "unip-bench-secret"
	bucket               = "bench"
)

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "unip-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir}
	stop, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Printf("load before: %s\n\n", load())
	fmt.Println("| | | wall ms | CPU ms | peak MiB | server's CPU ms | of s5cmd's wall | pairs |\n" +
		"|---|---|---|---|---|---|---|---|")
	for _, w := range []struct {
		name    string
		files   int
		content int64
	}{
		{fmt.Sprintf("%d files of %d bytes", *small, *size), *small, *size},
		{fmt.Sprintf("1 file of %d MiB", *large), 1, *large << 20},
	} {
		if err := b.compare(ctx, w.name, w.files, w.content); err != nil {
			return err
		}
	}
	fmt.Printf("\nload after: %s\n", load())
	return nil
}

// start starts the server, and gives what ends it.
func (b *bench) start(ctx context.Context) (stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, *server, "server", "--quiet", "--address", address, filepath.Join(b.dir, "storage"))
	c.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey, "MINIO_BROWSER=off",
		"MINIO_UPDATE=off", "MINIO_CI_CD=on")
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return nil, err
	}
	b.server = c.Process
	stop = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	b.session = databox.Session{Endpoint: "http://" + address, Region: "us-east-1", Bucket: bucket,
		AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := b.ready(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("%w\n%s", err, said.String())
	}
	return stop, nil
}

func (b *bench) ready(ctx context.Context) (err error) {
	if b.client, err = s3.NewClient(b.session, s3.Static(b.session)); err != nil {
		return err
	}
	for range 300 {
		if err = b.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{}); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	session, err := json.Marshal(b.session)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(b.dir, "sessions"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "sessions", "all.json"), session, 0o600)
}

// side is one way to do a work.
type side struct {
	name string
	// args of one round, whose target is new.
	args func(round int) ([]string, error)
	// done looks whether the round's target is there.
	done func(ctx context.Context, round int) error

	all []usage
}

// usage is what one run took.
type usage struct {
	wall, cpu time.Duration
	server    time.Duration // CPU time of the server meanwhile
	memory    int64         // KiB
}

// compare measures the two directions.
func (b *bench) compare(ctx context.Context, what string, files int, size int64) error {
	out := filepath.Join(b.dir, "out")
	if err := write(filepath.Join(out, "files"), files, size); err != nil {
		return err
	}
	defer os.RemoveAll(out)
	key := func(side string, round int) string { return fmt.Sprintf("%s/%d-%d/%d/", side, files, size, round) }
	stored := func(prefix func(round int) string) func(context.Context, int) error {
		return func(ctx context.Context, round int) error { return b.stored(ctx, prefix(round), files, size) }
	}
	publish := func(name string, copies bool) *side {
		id := func(round int) string { return fmt.Sprintf("%s-%d-%d-%d", name, files, size, round) }
		done := func(ctx context.Context, round int) error { return b.committed(ctx, id(round), files, size) }
		if copies {
			done = stored(func(round int) string { return key("copies", round) })
		}
		return &side{done: done, args: func(round int) ([]string, error) {
			o := stage.Output{Name: "files"}
			if copies {
				o.Copies = []stage.Folder{{Bucket: bucket, Prefix: key("copies", round), Session: "all.json"}}
			}
			return b.stage("publish", out, &stage.PublishPlan{Run: id(round), Stage: "s", Attempt: 1, Bucket: bucket,
				Session: "all.json", Outputs: []stage.Output{o}})
		}}
	}
	up := &side{name: "s5cmd cp, up", done: stored(func(round int) string { return key("s5cmd", round) }),
		args: func(round int) ([]string, error) {
			return b.s5cmd(filepath.Join(out, "files")+"/", "s3://"+bucket+"/"+key("s5cmd", round)), nil
		}}
	// The same work as that of publish: two requests for each file, the second after all first ones.
	twice := &side{name: "s5cmd cp, up and copied",
		done: stored(func(round int) string { return key("s5cmd-copied", round) }),
		args: func(round int) ([]string, error) {
			first := "s3://" + bucket + "/" + key("s5cmd-first", round)
			up := b.s5cmd(filepath.Join(out, "files")+"/", first)
			over := b.s5cmd(first+"*", "s3://"+bucket+"/"+key("s5cmd-copied", round))
			return []string{"sh", "-ec", "'" + strings.Join(up, "' '") + "'\n'" + strings.Join(over, "' '") + "'"}, nil
		}}
	copied, alone := publish("copied", true), publish("alone", false)
	copied.name, alone.name = "publish, with a copy", "publish, without"
	if err := b.measure(ctx, what, up, twice, copied, alone); err != nil {
		return err
	}

	into := func(side string, round int) string { return filepath.Join(b.dir, "in", side, fmt.Sprint(round)) }
	fetch := func(name string, in stage.Input) *side {
		in.Name, in.Session, in.Bucket = "files", "all.json", bucket
		return &side{name: "fetch, " + name,
			args: func(round int) ([]string, error) {
				return b.stage("fetch", into(name, round), &stage.FetchPlan{Inputs: []stage.Input{in}})
			},
			done: func(_ context.Context, round int) error { return lies(into(name, round), files, size) },
		}
	}
	down := &side{name: "s5cmd cp, down",
		args: func(round int) ([]string, error) {
			return b.s5cmd("s3://"+bucket+"/"+key("copies", 0)+"*", into("s5cmd", round)+"/"), nil
		},
		done: func(_ context.Context, round int) error { return lies(into("s5cmd", round), files, size) },
	}
	folder := fetch("a folder", stage.Input{Prefix: key("copies", 0)})
	commit := fetch("another stage's output", stage.Input{Output: "files",
		Commit: stage.CommitKey(fmt.Sprintf("copied-%d-%d-0", files, size), "s")})
	if err := b.measure(ctx, what, down, folder, commit); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(b.dir, "in"))
}

func (b *bench) stage(command, data string, plan any) ([]string, error) {
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	argument, err := stage.Encode(plan)
	if err != nil {
		return nil, err
	}
	return []string{*program, command, "--plan=" + strings.ReplaceAll(argument, "$$", "$"), "--data=" + data,
		"--sessions=" + filepath.Join(b.dir, "sessions"), "--termination-log=" + filepath.Join(b.dir, "message")}, nil
}

func (b *bench) s5cmd(from, to string) []string {
	return []string{*s5cmd, "--endpoint-url", b.session.Endpoint, "--log", "error", "cp", from, to}
}

// measure has the sides do the same work in turns, the first one other in each round, and prints
// the medians. The first side is what the others are compared with.
func (b *bench) measure(ctx context.Context, what string, sides ...*side) error {
	for round := range *rounds {
		for i := range sides {
			s := sides[(i+round)%len(sides)]
			args, err := s.args(round)
			if err != nil {
				return err
			}
			u, err := b.took(ctx, args)
			if err == nil {
				err = s.done(ctx, round)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.all = append(s.all, u)
		}
	}
	for i, s := range sides {
		fmt.Printf("| %s | %s | %d | %d | %d | %d |", what, s.name,
			median(s.all, func(u usage) time.Duration { return u.wall }).Milliseconds(),
			median(s.all, func(u usage) time.Duration { return u.cpu }).Milliseconds(),
			median(s.all, func(u usage) int64 { return u.memory })>>10,
			median(s.all, func(u usage) time.Duration { return u.server }).Milliseconds())
		if i == 0 {
			fmt.Println(" 1.00 | |")
			continue
		}
		var pairs []float64
		for round, u := range s.all {
			pairs = append(pairs, u.wall.Seconds()/sides[0].all[round].wall.Seconds())
		}
		slices.Sort(pairs)
		fmt.Printf(" %.2f | %.2f to %.2f |\n", pairs[len(pairs)/2], pairs[0], pairs[len(pairs)-1])
	}
	return nil
}

func median[T time.Duration | int64](all []usage, of func(usage) T) T {
	var values []T
	for _, u := range all {
		values = append(values, of(u))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// took runs a command, with the memory limit that a stage's containers have.
func (b *bench) took(ctx context.Context, args []string) (usage, error) {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey,
		"AWS_REGION=us-east-1")
	if args[0] == *program {
		c.Env = append(c.Env, "GOMEMLIMIT=48MiB")
	}
	before, err := cpuOf(b.server.Pid)
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, out)
	}
	wall := time.Since(began)
	after, err := cpuOf(b.server.Pid)
	if err != nil {
		return usage{}, err
	}
	r, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("no usage of a process")
	}
	return usage{wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime(), after - before, r.Maxrss}, nil
}

// cpuOf is the CPU time of a process that runs.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	var ticks int
	for _, f := range fields[11:13] { // user and system time, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// stored looks whether the files are in the bucket.
func (b *bench) stored(ctx context.Context, prefix string, files int, size int64) error {
	all, err := s3.Folder(ctx, b.client, bucket, prefix, files)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Size != size {
			return fmt.Errorf("%s has %d bytes", o.Key, o.Size)
		}
	}
	if len(all) != files {
		return fmt.Errorf("%d of %d files are at %s", len(all), files, prefix)
	}
	return nil
}

// committed looks whether a run's commit names the files, and whether what they lie in is there.
func (b *bench) committed(ctx context.Context, run string, files int, size int64) error {
	body, err := b.client.GetObject(ctx, bucket, stage.CommitKey(run, "s"), minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	c, err := stage.DecodeCommit(content)
	if err != nil {
		return err
	}
	all := c.Outputs["files"]
	for _, f := range all {
		if f.Size != size {
			return fmt.Errorf("%s has %d bytes", f.Path, f.Size)
		}
	}
	if len(all) != files {
		return fmt.Errorf("%d of %d files are committed", len(all), files)
	}
	byPack := stage.ByPack(all)
	for n, members := range byPack[1:] {
		key := stage.PackKey(stage.Prefix(run, "s"), c.Attempt, "files", c.Packs["files"][n])
		info, err := b.client.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if want := stage.PackSize(members); info.Size != want {
			return fmt.Errorf("%s has %d bytes of %d", key, info.Size, want)
		}
	}
	if len(byPack[0]) == 0 {
		return nil
	}
	return b.stored(ctx, stage.AttemptPrefix(run, "s", c.Attempt, "files"), len(byPack[0]), size)
}

// lies looks whether the files are in a folder, and removes it.
func lies(dir string, files int, size int64) error {
	n := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() != size {
			err = fmt.Errorf("%s has %d bytes", d.Name(), info.Size())
		}
		n++
		return err
	})
	if err == nil && n != files {
		err = fmt.Errorf("%d of %d files are in %s", n, files, dir)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// write makes the files of a side that goes up.
func write(dir string, files int, size int64) error {
	random := rand.NewChaCha8([32]byte{1})
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("%02d", i%20), fmt.Sprintf("%05d.bin", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, random, size)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
