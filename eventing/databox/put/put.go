// Package put is how the author of a module writes an object into the developer's area of a box: the
// request, which is an annotation of the DataBox, and the answer in its status. It speaks to nobody.
//
// That the author may do so the API server proves: who may not change a DataBox cannot ask. The
// answer is a link that writes the one object, sealed to a key that was made for this request and
// never leaves the author's process, so that the status tells a reader nothing.
package put

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/unip-knative/unip/eventing/databox"
)

// Prefix is what the names of the annotations begin with; each request has one of its own, so that
// requests of several authors never replace one another.
const Prefix = "put.unified-platform.cs.hse.ru/"

const (
	// Life is how long an answer holds; the request and its answer are taken away with its end.
	Life = 15 * time.Minute
	// Most is how many requests of one box are answered at a time. Others wait for their turn.
	Most = 32
	// MaxSize is the largest object that one PUT writes: S3's own limit.
	MaxSize = 5 << 30
	// maxRequest bounds what is read of an annotation.
	maxRequest = 4 << 10
)

// Why a request is refused.
const (
	Invalid   = "Invalid"   // it asks for what there is not
	ReadOnly  = "ReadOnly"  // the box is a dataset
	Exists    = "Exists"    // there is such an object, and it is not to be replaced
	BoxFull   = "BoxFull"   // there is no room for so many bytes
	NotUsable = "NotUsable" // the box itself cannot be used
	NotNamed  = "NotNamed"  // the box does not name this developer
	// the S3 server lets through what strangers try with such a link, so none is given
	LinksClosed = "LinksClosed"
	// the storage did not do its part; another request may be answered
	StorageError = "StorageError"
)

// RefusedError is why a request gets no link.
type RefusedError struct {
	Reason  string // one of the above, or of who cannot ask
	Message string
}

func (e *RefusedError) Error() string { return e.Message }

// Request asks for a link that writes one object.
type Request struct {
	// Key is the object's in the developer's area, Size what it will have in bytes.
	Key  string `json:"key"`
	Size int64  `json:"size"`
	// Overwrite says that an object that is there is replaced.
	Overwrite bool `json:"overwrite,omitempty"`
	// To is the one-time public key (X25519) that the answer is sealed to.
	To []byte `json:"to"`
}

// Check refuses what cannot be written.
func (r Request) Check() error {
	if err := databox.CheckDeveloperPath(r.Key); err != nil {
		return err
	}
	switch {
	case strings.HasSuffix(r.Key, "/"):
		return errors.New("a path that ends in / is a folder: name the file in it")
	case r.Size < 0 || r.Size > MaxSize:
		return fmt.Errorf("%d bytes: one upload writes at most %d", r.Size, int64(MaxSize))
	}
	return databox.CheckLiteral(r.Key)
}

// Taken is the refusal of a request for an object that is there, and is not to be replaced.
func (r Request) Taken(size int64) *RefusedError {
	return &RefusedError{Exists, fmt.Sprintf("%s is there already, with %d bytes", r.Key, size)}
}

// Asked is a request with the private key that opens its answer.
type Asked struct {
	Request

	// Name and Value are the annotation.
	Name, Value string

	private *[32]byte
}

// Ask makes a request that is not like any other.
func Ask(key string, size int64, overwrite bool) (Asked, error) {
	a := Asked{Request: Request{Key: key, Size: size, Overwrite: overwrite}}
	if err := a.Check(); err != nil {
		return Asked{}, err
	}
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return Asked{}, err
	}
	a.To, a.private = public[:], private
	value, err := json.Marshal(a.Request)
	if err != nil {
		return Asked{}, err
	}
	a.Value = string(value)
	a.Name = Prefix + id(a.Value)
	return a, nil
}

// ID is what the answer names its request by.
func (a Asked) ID() string { return strings.TrimPrefix(a.Name, Prefix) }

// Open opens the answer.
func (a Asked) Open(sealed []byte) (link string, err error) {
	public := [32]byte(a.To)
	b, ok := box.OpenAnonymous(nil, sealed, &public, a.private)
	if !ok {
		return "", errors.New("the answer is not to this request")
	}
	return string(b), nil
}

// id is the hash of a request: an answer to it is to nothing else.
func id(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:16])
}

// Parse reads an annotation whose name has lost its Prefix.
func Parse(name, value string) (Request, error) {
	var r Request
	switch {
	case len(value) > maxRequest:
		return r, fmt.Errorf("the request has more than %d bytes", maxRequest)
	case json.Unmarshal([]byte(value), &r) != nil || len(r.To) != 32:
		return r, errors.New("it is not a request: `unip files put FILE BOX:/PATH` makes one")
	case name != id(value):
		return r, errors.New("the request was changed after it had been made")
	}
	return r, r.Check()
}

// Seal closes a link so that only who has asked can open it.
func (r Request) Seal(link string) ([]byte, error) {
	return box.SealAnonymous(nil, []byte(link), (*[32]byte)(r.To), rand.Reader)
}
