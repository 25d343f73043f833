package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

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

// STS is where sessions come from, and by whose keys.
type STS struct {
	// Endpoint with its scheme, and the region that requests are signed for.
	Endpoint, Region string
	// RoleARN is the role that is assumed; empty for servers that know none and limit the rights of
	// Parent.
	RoleARN string
	// Parent must not be a session itself.
	Parent Keys
	// NoDelimiter says that the server knows no s3:delimiter in policies: see databox.WithoutDelimiter.
	NoDelimiter bool
	// NoColons says that the server takes no policy with a colon in a path: see databox.WithoutColons.
	NoColons bool
}

// sessionName is what AWS calls the sessions of a role. SeaweedFS wants it without a role, too.
const sessionName = "unip"

// AssumeRole asks for a session of a server that knows no roles.
func AssumeRole(
	ctx context.Context, hc *http.Client, endpoint, region string, parent Keys, policy string, life time.Duration,
) (databox.Session, error) {
	return STS{Endpoint: endpoint, Region: region, Parent: parent}.Session(ctx, hc, policy, life)
}

// Session asks for one that may do what policy says (see databox.Policy) and lives as long as asked, or
// shorter if the server says so. In the answer only keys, token and expiration are set.
func (s STS) Session(ctx context.Context, hc *http.Client, policy string, life time.Duration) (databox.Session, error) {
	policy, err := s.understood(policy)
	if err != nil {
		return databox.Session{}, err
	}
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleSessionName": {sessionName},
		"DurationSeconds": {strconv.Itoa(int(life / time.Second))}}
	for name, value := range map[string]string{"RoleArn": s.RoleARN, "Policy": policy} {
		if value != "" {
			form.Set(name, value)
		}
	}
	v, err := s.ask(ctx, hc, form)
	switch {
	case err != nil:
		return databox.Session{}, fmt.Errorf("asking S3 for a session: %w", err)
	case v.AccessKeyID == "" || v.SecretAccessKey == "" || v.SessionToken == "":
		return databox.Session{}, fmt.Errorf("asking S3 for a session: %w: the answer has no keys", ErrNoSTS)
	case time.Until(v.Expiration) < minSessionLife:
		return databox.Session{}, fmt.Errorf("asking S3 for a session: it ends at %s, it is %s now: the clocks differ",
			v.Expiration.Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	}
	return v, nil
}

// understood is the policy as the server takes it.
func (s STS) understood(policy string) (string, error) {
	if policy == "" {
		return "", nil
	}
	var err error
	if s.NoDelimiter {
		policy, err = databox.WithoutDelimiter(policy)
	}
	if err == nil && s.NoColons {
		policy, err = databox.WithoutColons(policy)
	}
	return policy, err
}

// ErrNoSTS: the S3 server answered, and gave no session.
var ErrNoSTS = errors.New("STS AssumeRole was refused")
