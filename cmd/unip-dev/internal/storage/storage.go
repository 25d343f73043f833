package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"

	"github.com/unip-knative/unip/eventing/databox"
)

// region is the one that all requests are signed for.
const region = "us-east-1"

// Limits of the server: connections that it takes, and requests that it serves at once.
const (
	maxConnections = 8192
	maxRequests    = 2048
	maxParts       = 10000 // S3's
)

// Names in the server's folder.
const (
	boxesFolder   = "boxes"
	runsFolder    = "runs"
	othersFolder  = "buckets" // made by clients
	stateFolder   = "storage"
	keysFile      = "keys.json"
	givenFile     = "given.jsonl"
	lockFile      = "lock"
	gitignoreFile = ".gitignore"
)

// Modes of what the server makes: nobody else on the machine reads users' files.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// Box is a box of the module: its files are below boxes/<Name>, for S3 it is a bucket.
type Box struct {
	Name   string
	Bucket string // databox.BucketName
}

// Options of a server.
type Options struct {
	// Dir is the folder of all that is kept, .unip. It is made when it is missing.
	Dir string
	// Address to listen at, on loopback. Empty, or with port 0: the port of the last time while it
	// is free, so that links live on, else any.
	Address string
	Boxes   []Box
	// Runs is the bucket of the module's runs (databox.RunBucketName). Its objects are not told.
	Runs string
	Log  *slog.Logger
}

// Server is a running S3 server.
type Server struct {
	dir, endpoint string
	keys          keys
	log           *slog.Logger
	lock          *os.File

	api     *s3api.S3ApiServer
	buckets *buckets
	objects *objects

	stop   context.CancelFunc
	work   sync.WaitGroup
	served chan error // of the listener, once
	closed sync.Once
	err    error
}

// Open starts a server, which answers when Open returns. It ends with Close, or when ctx does.
func Open(ctx context.Context, o Options) (*Server, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("storage folder: %w", err)
	}
	s := &Server{dir: dir, log: o.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, o Options) error {
	host, port, err := splitAddress(o.Address)
	if err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if s.keys, err = readKeys(filepath.Join(s.dir, stateFolder, keysFile)); err != nil {
		return err
	}
	given, err := openGiven(filepath.Join(s.dir, stateFolder, givenFile))
	if err != nil {
		return err
	}
	s.objects = newObjects(given, s.log)
	if s.buckets, err = newBuckets(s.dir, s.keys.AccessKeyID, s.objects.came, s.log); err != nil {
		return err
	}
	if o.Runs != "" {
		if err := s.buckets.add(o.Runs, runsFolder); err != nil {
			return err
		}
	}
	for _, b := range o.Boxes {
		if err := s.Add(b); err != nil {
			return err
		}
	}
	if err := s.serve(host, port); err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	s.stop = stop
	s.work.Go(func() { s.objects.run(background) })
	context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			s.log.Warn("closing the storage", "error", err)
		}
	})
	return nil
}

// prepare makes the folder, and sees to it that nobody else works in it.
func (s *Server) prepare() error {
	if err := os.MkdirAll(filepath.Join(s.dir, stateFolder), folderMode); err != nil {
		return fmt.Errorf("the folder of boxes and runs: %w; --state names another one", err)
	}
	if err := os.Chmod(s.dir, folderMode); err != nil {
		return fmt.Errorf("the folder of boxes and runs: %w; --state names another one", err)
	}
	ignore := filepath.Join(s.dir, gitignoreFile)
	if _, err := os.Lstat(ignore); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), fileMode); err != nil {
			return fmt.Errorf("storage folder: %w", err)
		}
	}
	var err error
	s.lock, err = lock(filepath.Join(s.dir, stateFolder, lockFile))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%s: another unip dev works in this folder; end it, or name another folder", s.dir)
	}
	return err
}

// lookForFolder is how often it is looked whether the folder is still there.
const lookForFolder = time.Second

// Lost waits until somebody has removed the folder, or until ctx ends, which is no error. What comes
// then would be kept nowhere, and another server might begin in its place.
func (s *Server) Lost(ctx context.Context) error {
	tick := time.NewTicker(lookForFolder)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		held, err := s.lock.Stat()
		if err != nil {
			return nil // the server is closed
		}
		there, err := os.Lstat(s.lock.Name())
		if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(held, there) {
			return fmt.Errorf("%s was removed meanwhile, and so what was kept: start again", s.dir)
		}
	}
}

// splitAddress takes loopback addresses only: whoever reaches the server may guess at its keys.
func splitAddress(address string) (host string, port int, err error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("storage address %q: want HOST:PORT", address)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("storage address %q is not on loopback; use 127.0.0.1:%s", address, text)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("storage address %q: the port is not one of 0 to 65535", address)
	}
	return host, port, nil
}

// serve listens at the port, or at any when it is 0: preferably at that of the last time.
func (s *Server) serve(host string, port int) error {
	if port != 0 {
		return s.listen(net.JoinHostPort(host, strconv.Itoa(port)))
	}
	for port := s.keys.Port; ; port = 0 {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		if port == 0 {
			var err error
			if address, err = freeAddress(host); err != nil {
				return err
			}
		}
		err := s.listen(address)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // somebody was quicker
		}
		if err != nil {
			return err
		}
		return s.keepPort(address)
	}
}

func freeAddress(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("looking for a port for the storage: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *Server) keepPort(address string) error {
	_, port, err := splitAddress(address)
	if err != nil || port == s.keys.Port {
		return err
	}
	s.keys.Port = port
	return s.keys.write(filepath.Join(s.dir, stateFolder, keysFile))
}

// listen serves at the address, until the server is closed. It returns when the server answers, or
// cannot.
func (s *Server) listen(address string) error {
	root := auth.Account{Access: s.keys.AccessKeyID, Secret: s.keys.SecretAccessKey, Role: auth.RoleAdmin}
	listening := make(chan struct{})
	api, err := s3api.New(s.buckets, middlewares.RootUserConfig{Access: root.Access, Secret: root.Secret}, region,
		auth.NewIAMServiceSingle(root), nil, nil, nil, nil,
		s3api.WithConcurrencyLimiter(maxConnections, maxRequests), s3api.WithMpMaxParts(maxParts),
		s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithDisableACL(),
		s3api.WithOnListen(sync.OnceFunc(func() { close(listening) })))
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- api.ServeMultiPort([]string{address}) }()
	select {
	case err := <-ended:
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("storage address %s is taken by another program: %w", address, err)
		}
		return fmt.Errorf("storage: %w", err)
	case <-listening:
	}
	s.api, s.served, s.endpoint = api, ended, "http://"+address
	// It listens, and serves in a moment. Before that it could not be shut down.
	resp, err := http.Get(s.endpoint)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return resp.Body.Close()
}

// Endpoint is the server's URL, http://127.0.0.1:PORT.
func (s *Server) Endpoint() string { return s.endpoint }

// Add adds a box while the server runs; one that is there already stays as it is.
func (s *Server) Add(b Box) error {
	if b.Name == "" || b.Name == "." || b.Name == ".." || filepath.Base(b.Name) != b.Name {
		return fmt.Errorf("box %q: the name is not that of a folder", b.Name)
	}
	if err := s.buckets.add(b.Bucket, filepath.Join(boxesFolder, b.Name)); err != nil {
		return err
	}
	return s.objects.watch(b.Bucket, s.Folder(b.Bucket))
}

// Folder is where a bucket's objects lie as files, "" for one that there is not.
func (s *Server) Folder(bucket string) string { return s.buckets.folder(bucket) }

// Session is a session file's content for a bucket. It has no end.
func (s *Server) Session(bucket, prefix string) databox.Session {
	return databox.Session{
		Endpoint: s.endpoint, PublicEndpoint: s.endpoint, Region: region, Bucket: bucket, Prefix: prefix,
		AccessKeyID: s.keys.AccessKeyID, SecretAccessKey: s.keys.SecretAccessKey,
	}
}

// Objects gives every object of a box that came into being, by S3 or by hand, once it is whole.
// After a restart it begins with those that were not acknowledged. The channel is closed with the
// server.
func (s *Server) Objects() <-chan Object { return s.objects.out }

// Done acknowledges an object: it is not given again.
func (s *Server) Done(o Object) error { return s.objects.done(o) }

// closeAfter is how long requests that are under way may go on at the end.
const closeAfter = 2 * time.Second

// Close ends the server. What was stored stays.
func (s *Server) Close() error {
	s.closed.Do(func() { s.err = s.close() })
	return s.err
}

func (s *Server) close() error {
	var all []error
	if s.stop != nil {
		s.stop()
	}
	if s.api != nil {
		all = append(all, s.shutdown())
	}
	s.work.Wait()
	if s.objects != nil {
		all = append(all, s.objects.close())
	}
	if s.lock != nil {
		all = append(all, s.lock.Close())
	}
	return errors.Join(all...)
}

// shutdown ends the listener and waits a little for requests that are under way.
func (s *Server) shutdown() error {
	ended := make(chan error, 1)
	go func() {
		err := s.api.ShutDown()
		if err := <-s.served; err != nil {
			s.log.Debug("the storage has ended", "reason", err) // that its listener is closed
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(closeAfter):
		return nil
	}
}
