package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
)

// maxUsage bounds the read of a usage object; ours have about 100 bytes.
const maxUsage = 4 << 10

// ReadUsage reads the usage of a box. ok is false when the box has not been counted yet.
func ReadUsage(ctx context.Context, c *minio.Client, at databox.UsageRef) (u databox.Usage, ok bool, err error) {
	o, err := c.GetObject(ctx, at.Bucket, at.Key, minio.GetObjectOptions{})
	if err != nil {
		return databox.Usage{}, false, fmt.Errorf("reading how full the box is: %w", err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, maxUsage+1))
	switch {
	case IsMissing(err):
		return databox.Usage{}, false, nil
	case err != nil:
		return databox.Usage{}, false, fmt.Errorf("reading how full the box is: %w", err)
	case len(b) > maxUsage || json.Unmarshal(b, &u) != nil:
		return databox.Usage{}, false, fmt.Errorf("%s/%s does not say how full the box is", at.Bucket, at.Key)
	}
	return u, true, nil
}

// WriteUsage writes the usage of a box.
func WriteUsage(ctx context.Context, c *minio.Client, at databox.UsageRef, u databox.Usage) error {
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
	usage databox.Usage
	known bool
	until time.Time
}

// Fit is nil when need more bytes fit into the box, else a FullError or what kept it from finding
// out. A box that nobody counts (its session names no usage) takes everything, and one that was not
// counted yet what an empty one does.
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
		if !ok {
			u.Capacity, ok = b.Usage.Capacity, b.Usage.Capacity > 0
		}
		b.room.usage, b.room.known, b.room.until = u, ok, now.Add(usageAge)
	}
	if !b.room.known {
		return nil
	}
	return b.room.usage.Fit(need)
}

// Capacity is the box's space in bytes as Fit has seen it last, 0 where nobody has counted.
func (b *Box) Capacity() int64 {
	b.room.mu.Lock()
	defer b.room.mu.Unlock()
	if !b.room.known {
		return 0
	}
	return b.room.usage.Capacity
}
