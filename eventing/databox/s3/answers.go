package s3

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// Answer is what an error of a request to S3 means to whoever made the request.
type Answer int

// The answers of S3.
const (
	// NoAnswer: S3 said nothing, or nothing of what follows. It may say more another time.
	NoAnswer Answer = iota
	// NotThere: there is no such object, version or bucket.
	NotThere
	// SessionOver: the session has ended or is not known any more. The next one may do the same.
	SessionOver
	// Denied: the session may not do this.
	Denied
	// BadSignature: S3 refuses whoever asks, for another reason: a wrong key, or clocks that
	// differ.
	BadSignature
	// OtherVersion: a condition of the request does not hold. The object is another version than
	// the one that was asked for, or it is there already.
	OtherVersion
	// Conflict: another request to the same object or bucket was first.
	Conflict
	// BadRequest: S3 cannot do such a thing at all, because of the form of a name, say.
	BadRequest
)

// codes are those that do not follow from the status: some servers give one code with another
// status, and to a HEAD, whose answer has no body, minio-go makes the code of the status.
var codes = map[string]Answer{
	"NoSuchKey": NotThere, "NoSuchBucket": NotThere, "NoSuchVersion": NotThere,
	"ExpiredToken": SessionOver, "InvalidTokenId": SessionOver, "InvalidToken": SessionOver,
	"InvalidAccessKeyId": SessionOver, "InvalidClientTokenId": SessionOver,
	"AccessDenied":       Denied,
	"PreconditionFailed": OtherVersion,
}

var statuses = map[int]Answer{
	http.StatusUnauthorized: BadSignature, http.StatusForbidden: BadSignature,
	http.StatusPreconditionFailed: OtherVersion, http.StatusConflict: Conflict, http.StatusBadRequest: BadRequest,
}

// AnswerOf classifies an error of a request, however it is wrapped.
func AnswerOf(err error) Answer {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return NoAnswer
	}
	if a, ok := codes[r.Code]; ok {
		return a
	}
	return statuses[r.StatusCode]
}

// IsMissing reports that there is no such object, version or bucket.
func IsMissing(err error) bool { return AnswerOf(err) == NotThere }

// IsRefused reports that S3 answered and said no to these keys: they are wrong, have expired or may
// not do this.
func IsRefused(err error) bool {
	switch AnswerOf(err) {
	case SessionOver, Denied, BadSignature:
		return true
	}
	return false
}

// IsUnknown reports that the server knows no request of that kind.
func IsUnknown(err error) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && (r.StatusCode == http.StatusNotImplemented || r.Code == "NotImplemented")
}

// IsFinal reports an answer that stays what it is, however often the same request is made with the
// same session.
func IsFinal(err error) bool {
	switch AnswerOf(err) {
	case NotThere, Denied, OtherVersion:
		return true
	}
	return false
}

// IsAbsent reports that S3 did not answer, or that it answered that it cannot for now. It may later,
// however long it was away. What is wrong with the request, or on this machine, is not of the kind.
func IsAbsent(err error) bool {
	var r minio.ErrorResponse
	if errors.As(err, &r) {
		switch {
		case r.StatusCode == http.StatusNotImplemented:
			return false
		case r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
			return true
		case r.StatusCode >= http.StatusInternalServerError:
			return true
		}
		return slices.Contains(busy, r.Code) // AWS gives some with status 400, and a copy's with 200
	}
	var (
		disk    *fs.PathError
		network net.Error
	)
	switch {
	case errors.As(err, &disk), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &network):
		return true // a *url.Error, too
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// busy are codes that S3 gives when it cannot for now.
var busy = []string{"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}

func isCode(err error, code string) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && r.Code == code
}
