package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// What servers answer, and what whoever asked makes of it: modelbox, filebox, fetch, publish and
// the controller go by this table alone.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   string
		status int
		want   s3.Answer
		// missing, refused and final are IsMissing, IsRefused and IsFinal.
		missing, refused, final bool
	}{
		{"NoSuchKey", 404, s3.NotThere, true, false, true},
		{"NoSuchBucket", 404, s3.NotThere, true, false, true},
		{"NoSuchVersion", 404, s3.NotThere, true, false, true},
		{"NoSuchUpload", 404, s3.NoAnswer, false, false, false}, // of a part: the upload is begun again
		{"NoSuchTagSet", 404, s3.NoAnswer, false, false, false},
		{"AccessDenied", 403, s3.Denied, false, true, true},
		{"AllAccessDisabled", 403, s3.BadSignature, false, true, false},
		{"SignatureDoesNotMatch", 403, s3.BadSignature, false, true, false},
		{"RequestTimeTooSkewed", 403, s3.BadSignature, false, true, false},
		{"", 401, s3.BadSignature, false, true, false},
		{"ExpiredToken", 400, s3.SessionOver, false, true, false}, // AWS
		{"ExpiredToken", 403, s3.SessionOver, false, true, false},
		{"InvalidTokenId", 403, s3.SessionOver, false, true, false}, // MinIO
		{"InvalidToken", 400, s3.SessionOver, false, true, false},
		{"InvalidAccessKeyId", 403, s3.SessionOver, false, true, false},
		{"InvalidClientTokenId", 403, s3.SessionOver, false, true, false},
		{"PreconditionFailed", 412, s3.OtherVersion, false, false, true},
		{"", 412, s3.OtherVersion, false, false, true},
		{"ConditionalRequestConflict", 409, s3.Conflict, false, false, false},
		{"OperationAborted", 409, s3.Conflict, false, false, false},
		{"XMinioInvalidObjectName", 400, s3.BadRequest, false, false, false},
		{"SlowDown", 503, s3.NoAnswer, false, false, false},
		{"InternalError", 500, s3.NoAnswer, false, false, false},
		{"", 0, s3.NoAnswer, false, false, false},
	} {
		err := fmt.Errorf("wrapped: %w", fmt.Errorf("twice: %w",
			minio.ErrorResponse{Code: c.code, StatusCode: c.status}))
		if got := s3.AnswerOf(err); got != c.want {
			t.Errorf("%d %s: %v, want %v", c.status, c.code, got, c.want)
		}
		if s3.IsMissing(err) != c.missing || s3.IsRefused(err) != c.refused || s3.IsFinal(err) != c.final {
			t.Errorf("%d %s: missing %v, refused %v, final %v", c.status, c.code, s3.IsMissing(err), s3.IsRefused(err),
				s3.IsFinal(err))
		}
	}
	for err, want := range map[error]bool{
		minio.ErrorResponse{Code: "SlowDown", StatusCode: 503}:                        true,
		minio.ErrorResponse{Code: "XMinioServerNotInitialized", StatusCode: 503}:      true,
		minio.ErrorResponse{Code: "502 Bad Gateway", StatusCode: 502}:                 true,
		minio.ErrorResponse{Code: "429 Too Many Requests", StatusCode: 429}:           true,
		minio.ErrorResponse{Code: "RequestTimeout", StatusCode: 400}:                  true,
		minio.ErrorResponse{Code: "SlowDown", StatusCode: 200}:                        true,
		minio.ErrorResponse{Code: "NotImplemented", StatusCode: 501}:                  false,
		minio.ErrorResponse{Code: "InvalidArgument", StatusCode: 400}:                 false,
		minio.ErrorResponse{Code: "AccessDenied", StatusCode: 403}:                    false,
		minio.ErrorResponse{Code: "PreconditionFailed", StatusCode: 412}:              false,
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}:                           true,
		&url.Error{Op: "Put", Err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}: true,
		&url.Error{Op: "Put", Err: os.ErrDeadlineExceeded}:                            true,
		&url.Error{Op: "Put", Err: &fs.PathError{Op: "read", Path: "f", Err: io.EOF}}: false,
		&fs.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}:                    false,
		&url.Error{Op: "Put", Err: context.Canceled}:                                  false,
		io.ErrUnexpectedEOF: true, s3.ErrChanged: false, s3.ErrCorrupt: false, errors.New("any"): false,
	} {
		if got := s3.IsAbsent(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: absent %v", err, got)
		}
	}
	for _, err := range []error{nil, errors.New("connection refused"), context.Canceled, http.ErrHandlerTimeout} {
		if got := s3.AnswerOf(err); got != s3.NoAnswer {
			t.Errorf("%v: %v", err, got)
		}
	}
}
