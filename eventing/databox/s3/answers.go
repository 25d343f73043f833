package s3

import (
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// Missing reports that S3 said that there is no such object.
func Missing(err error) bool {
	code := minio.ToErrorResponse(err).Code
	return code == "NoSuchKey" || code == "NoSuchBucket"
}

// IsRefused reports that S3 answered and said no to these keys: they are wrong, expired, or may not
// do this.
func IsRefused(err error) bool {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return false
	}
	return r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusUnauthorized || r.Code == "InvalidAccessKeyId" || r.Code == "AccessDenied" ||
		r.Code == "InvalidTokenId" || r.Code == "ExpiredToken"
}

func isCode(err error, code string) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && r.Code == code
}
