package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox"
)

// Keys is a pair of long-lived S3 keys. It prints without its secret.
type Keys struct {
	AccessKeyID, SecretAccessKey string
}

// String, with GoString, keeps the secret out of logs.
func (k Keys) String() string { return "S3 keys of " + k.AccessKeyID }

// GoString keeps %#v from printing the secret.
func (k Keys) GoString() string { return k.String() }

// minSessionLife is what a new session must at least live; less means that the clocks of S3 and of
// this node are far apart.
const minSessionLife = time.Minute

// AssumeRole asks S3's STS for a session that may do what policy says (see databox.Policy) and
// lives as long as asked, or shorter if the server says so. The parent must not be a session
// itself. In the answer only keys, token and expiration are set.
func AssumeRole(
	ctx context.Context, hc *http.Client, endpoint, region string, parent Keys, policy string, life time.Duration,
) (databox.Session, error) {
	sts := &credentials.STSAssumeRole{STSEndpoint: endpoint, Options: credentials.STSAssumeRoleOptions{
		AccessKey: parent.AccessKeyID, SecretKey: parent.SecretAccessKey,
		Policy: policy, Location: region, DurationSeconds: int(life / time.Second),
	}}
	v, err := sts.RetrieveWithCredContext(&credentials.CredContext{Client: hc, Context: ctx})
	var refused credentials.ErrorResponse
	switch {
	case errors.As(err, &refused):
		return databox.Session{}, fmt.Errorf("asking S3 for a session: %w: %s: %s",
			ErrNoSTS, refused.STSError.Code, refused.STSError.Message)
	case err != nil:
		return databox.Session{}, fmt.Errorf("asking S3 for a session: %w", err)
	case v.AccessKeyID == "" || v.SecretAccessKey == "" || v.SessionToken == "":
		return databox.Session{}, fmt.Errorf("asking S3 for a session: %w: the answer has no keys", ErrNoSTS)
	case time.Until(v.Expiration) < minSessionLife:
		return databox.Session{}, fmt.Errorf("asking S3 for a session: it ends at %s, it is %s now: the clocks differ",
			v.Expiration.Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	}
	return databox.Session{
		AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken,
		Expiration: v.Expiration.UTC(),
	}, nil
}

// ErrNoSTS: the S3 server answered, and gave no session.
var ErrNoSTS = errors.New("STS AssumeRole was refused")
