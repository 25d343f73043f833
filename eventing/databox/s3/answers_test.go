package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	for _, err := range []error{nil, errors.New("connection refused"), context.Canceled, http.ErrHandlerTimeout} {
		if got := s3.AnswerOf(err); got != s3.NoAnswer {
			t.Errorf("%v: %v", err, got)
		}
	}
}
