package databox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// Usage is how full a storage box is. The controller counts it and keeps it as an object in the
// installation's own bucket, where the sessions of those who write into the box may read it.
//
// It is a little behind: what is being uploaded is not in it yet.
type Usage struct {
	// Capacity is the box's space, Used what its objects take, in bytes.
	Capacity int64 `json:"capacity"`
	Used     int64 `json:"used"`
	// Counted is when all objects were counted last.
	Counted time.Time `json:"counted"`
}

// UsageRef is where the usage of a box lies.
type UsageRef struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// UsageOf is where the usage of a box lies. The namespace and the box are DNS labels, so that the
// key names no other box.
func UsageOf(systemBucket, namespace, box string) UsageRef {
	return UsageRef{Bucket: systemBucket, Key: "usage/" + namespace + "/" + box + ".json"}
}

// FullError says that something does not fit into a box.
type FullError struct {
	// Need is what was to be written, Used and Capacity are the box's, in bytes.
	Need, Used, Capacity int64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the box is full: %d of its %d bytes are used, %d more are needed, so %d are missing",
		e.Used, e.Capacity, e.Need, e.Missing())
}

// Missing is how many bytes would have to be freed.
func (e *FullError) Missing() int64 { return e.Need - max(e.Capacity-e.Used, 0) }

// Fit is nil when need more bytes fit, else a FullError. Nothing fits into a full box, not even an
// empty file: its writer could not be told from one whose size is not known.
func (u Usage) Fit(need int64) error {
	if u.Used < u.Capacity && need <= u.Capacity-u.Used {
		return nil
	}
	return &FullError{Need: max(need, 1), Used: u.Used, Capacity: u.Capacity}
}

// maxUsage bounds the read of a usage object; ours have about 100 bytes.
const maxUsage = 4 << 10

// ReadUsage reads the usage of a box. ok is false when the box has not been counted yet.
func ReadUsage(ctx context.Context, c *minio.Client, at UsageRef) (u Usage, ok bool, err error) {
	o, err := c.GetObject(ctx, at.Bucket, at.Key, minio.GetObjectOptions{})
	if err != nil {
		return Usage{}, false, fmt.Errorf("reading how full the box is: %w", err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, maxUsage+1))
	var answer minio.ErrorResponse
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return Usage{}, false, nil
	case err != nil:
		return Usage{}, false, fmt.Errorf("reading how full the box is: %w", err)
	case len(b) > maxUsage || json.Unmarshal(b, &u) != nil:
		return Usage{}, false, fmt.Errorf("%s/%s does not say how full the box is", at.Bucket, at.Key)
	}
	return u, true, nil
}

// WriteUsage writes the usage of a box.
func WriteUsage(ctx context.Context, c *minio.Client, at UsageRef, u Usage) error {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = c.PutObject(ctx, at.Bucket, at.Key, bytes.NewReader(b), int64(len(b)),
		minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true})
	if err != nil {
		return fmt.Errorf("writing how full the box is: %w", err)
	}
	return nil
}

// usageAge is how old a usage may be that Room still takes: many calls a second ask for it.
const usageAge = 2 * time.Second

// room remembers the usage of an open box for a moment.
type room struct {
	mu    sync.Mutex
	usage Usage
	known bool
	until time.Time
}

// Fit is nil when need more bytes fit into the box, else a FullError or what kept it from finding
// out. A box that nobody counts (its session names no usage, or there is none yet) takes everything.
func (b *Box) Fit(ctx context.Context, need int64) error {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	if b.Usage == nil {
		return nil
	}
	if now := time.Now(); now.After(b.room.until) {
		u, ok, err := ReadUsage(ctx, b.Client, *b.Usage)
		if err != nil {
			return err
		}
		b.room.usage, b.room.known, b.room.until = u, ok, now.Add(usageAge)
	}
	if !b.room.known {
		return nil
	}
	return b.room.usage.Fit(need)
}
