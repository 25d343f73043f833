package serve

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// put gives a developer of a box the link that writes one object into the developer's area, as the
// controller does in a cluster. The gateway has looked up that the box names this developer.
func (s *served) put(ctx context.Context, box, _ string, asked put.Asked) (
	link string, expires time.Time, err error,
) {
	bucket := databox.UsualBuckets.Box(s.module.Namespace, box)
	session := s.storage.Session(bucket, "")
	c, err := s3.NewClient(session, s3.Static(session))
	if err != nil {
		return "", expires, err
	}
	old, err := c.StatObject(ctx, bucket, asked.Key, minio.StatObjectOptions{})
	switch {
	case err == nil && !asked.Overwrite:
		return "", expires, asked.Taken(old.Size)
	case err != nil && !s3.IsMissing(err):
		return "", expires, fmt.Errorf("looking at what is in the box: %w", err)
	}
	signed := http.Header{"Content-Length": {strconv.FormatInt(asked.Size, 10)}}
	u, err := c.PresignHeader(ctx, http.MethodPut, bucket, asked.Key, put.Life, nil, signed)
	if err != nil {
		return "", expires, fmt.Errorf("signing a link: %w", err)
	}
	return u.String(), time.Now().Add(put.Life).Truncate(time.Second), nil
}
