package starts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/eventing/start"
)

// What lies in the run bucket. Keys below pending/ are of earlier releases.
const (
	records = start.Records
	pending = "pending/"
)

// maxStart bounds the read of a start record.
const maxStart = 64 << 10

// place is where the files and the start records of a module lie: buckets that were proved to be its
// own.
type place struct {
	namespace string
	store     settings.Store
	runs      string       // the run bucket
	box       boxes.Bucket // of the files, where a box is meant
}

// module proves the run bucket.
func (s *Maker) module(ctx context.Context, store settings.Store, namespace string) (place, error) {
	runs, err := s.buckets().Runs(ctx, store, namespace)
	return place{namespace: namespace, store: store, runs: runs}, err
}

// box proves the bucket of a box and the run bucket.
func (s *Maker) box(ctx context.Context, store settings.Store, namespace, box string) (place, error) {
	buckets := s.buckets()
	b, err := buckets.Of(ctx, store, namespace, box)
	if err != nil {
		return place{}, err
	}
	runs, err := buckets.Runs(ctx, store, namespace)
	if err != nil {
		return place{}, unrecorded{err}
	}
	return place{namespace: namespace, store: store, runs: runs, box: b}, nil
}

// unrecorded is an error of the run bucket, and no refusal of the box: a file whose start cannot be
// recorded waits until it can.
type unrecorded struct{ why error }

func (u unrecorded) Error() string { return "opening the start records: " + u.why.Error() }

// buckets are for one proof.
func (s *Maker) buckets() boxes.Buckets {
	return boxes.Buckets{Boxes: s.Client, Namespaces: &once{Reader: s.Live, seen: map[string]corev1.Namespace{}}}
}

// once reads each namespace once.
type once struct {
	client.Reader
	seen map[string]corev1.Namespace
}

// Get reads an object.
func (o *once) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	ns, ok := into.(*corev1.Namespace)
	if !ok {
		return o.Reader.Get(ctx, key, into, opts...)
	}
	if seen, ok := o.seen[key.Name]; ok {
		*ns = seen
		return nil
	}
	if err := o.Reader.Get(ctx, key, ns, opts...); err != nil {
		return err
	}
	o.seen[key.Name] = *ns
	return nil
}

// proofs are those of a moment ago. Many starts at once need not prove the same bucket each.
type proofs struct {
	mu  sync.Mutex
	all map[[2]string]proof
}

type proof struct {
	place
	until time.Time
}

// proofLife is how long a proof holds for other starts. It may as well be as old where one start
// takes long.
const proofLife = 2 * time.Second

func (p *proofs) get(namespace, box string, now time.Time) (place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.all[[2]string{namespace, box}]
	return x.place, ok && now.Before(x.until)
}

func (p *proofs) put(box string, at place, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[[2]string]proof{}
	}
	for key, x := range p.all {
		if !now.Before(x.until) {
			delete(p.all, key)
		}
	}
	p.all[[2]string{at.namespace, box}] = proof{at, now.Add(proofLife)}
}

// record is the start record of a key; nil when there is none.
func (p place) record(ctx context.Context, key string) (*draft, error) {
	return p.read(ctx, records+key)
}

func (p place) read(ctx context.Context, key string) (*draft, error) {
	b, err := p.bytes(ctx, key, maxStart)
	if b == nil || err != nil {
		return nil, err
	}
	x := &draft{}
	if err := json.Unmarshal(b, &x.Record); err != nil {
		return nil, fmt.Errorf("reading %s: it is no start record", key)
	}
	return x, nil
}

var errLarge = errors.New("too large")

// bytes reads an object of the run bucket; nil when there is none.
func (p place) bytes(ctx context.Context, key string, most int64) ([]byte, error) {
	body, err := p.store.GetObject(ctx, p.runs, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, most+1))
	switch {
	case minio.ToErrorResponse(err).Code == minio.NoSuchKey:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", key, err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("reading %s: %w: more than %d bytes", key, errLarge, most)
	}
	return b, nil
}

func (p place) write(ctx context.Context, key string, x draft) error {
	b, err := json.Marshal(x.Record)
	if err != nil {
		return err
	}
	if _, err := p.store.PutObject(ctx, p.runs, records+key, bytes.NewReader(b), int64(len(b)),
		minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}); err != nil {
		return fmt.Errorf("writing %s: %w", records+key, err)
	}
	return nil
}
