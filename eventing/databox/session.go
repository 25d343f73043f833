package databox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// SessionKey is the key of the session in a box's credentials Secret.
const SessionKey = "session.json"

// maxSessionFile bounds the read of a session file: a session token of MinIO or AWS stays below 4
// KiB.
const maxSessionFile = 64 << 10

// Session is what a component may do with one box, for a limited time. The controller writes it as
// JSON into a Secret; the Secret is mounted as a file, never given as environment.
type Session struct {
	// Endpoint is the S3 server as seen from pods, with its scheme: http://minio.minio.svc:9000.
	Endpoint string `json:"endpoint"`
	// PublicEndpoint is the S3 server as seen by the module's callers; presigned links are made for
	// it.
	PublicEndpoint string `json:"publicEndpoint,omitempty"`
	Region         string `json:"region"`
	Bucket         string `json:"bucket"`
	// Prefix is what all keys of the box begin with in the bucket, when it is a folder of another
	// module's. It ends in "/".
	Prefix string `json:"prefix,omitempty"`
	// Usage is where it stands how full the box is; nil in sessions that do not write into it.
	Usage       *UsageRef `json:"usage,omitempty"`
	AccessKeyID string    `json:"accessKeyId"`
	// SecretAccessKey and SessionToken never appear in logs: Session prints without them.
	SecretAccessKey string    `json:"secretAccessKey"`
	SessionToken    string    `json:"sessionToken,omitempty"`
	Expiration      time.Time `json:"expiration"`
	// Withheld is why there are no keys: what the session is for is not safe with this S3 server.
	Withheld string `json:"withheld,omitempty"`
}

// WithheldError is the error of a session that is withheld.
type WithheldError struct{ Reason string }

func (e *WithheldError) Error() string { return "no S3 session is given for this: " + e.Reason }

// String, GoString and LogValue leave the secrets out.
func (s Session) String() string {
	return fmt.Sprintf("session of bucket %s at %s until %s", s.Bucket, s.Endpoint, s.Expiration.Format(time.RFC3339))
}

// GoString keeps %#v from printing the secrets.
func (s Session) GoString() string { return s.String() }

// LogValue keeps slog from printing the secrets.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ErrNoSession is returned when the session file does not exist (yet): the controller has not made
// it, or kubelet has not brought it.
var ErrNoSession = errors.New("no S3 session yet")

// ReadSession reads the session file at path. The error is ErrNoSession when there is no file, and a
// *WithheldError where there are no keys on purpose.
func ReadSession(path string) (Session, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Session{}, fmt.Errorf("%s: %w", path, ErrNoSession)
	}
	if err != nil {
		return Session{}, fmt.Errorf("reading the S3 session: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSessionFile+1))
	if err != nil {
		return Session{}, fmt.Errorf("reading the S3 session: %w", err)
	}
	return ParseSession(b)
}

// ParseSession decodes a session and checks that nothing is missing from it.
func ParseSession(b []byte) (Session, error) {
	var s Session
	if len(b) > maxSessionFile {
		return s, fmt.Errorf("S3 session is larger than %d bytes", maxSessionFile)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return Session{}, errors.New("S3 session is not valid JSON") // the decoder's error may quote a secret
	}
	if s.Withheld != "" {
		return s, &WithheldError{s.Withheld}
	}
	if s.Endpoint == "" || s.Bucket == "" || s.AccessKeyID == "" || s.SecretAccessKey == "" {
		return Session{}, errors.New("S3 session lacks endpoint, bucket or keys")
	}
	return s, nil
}
