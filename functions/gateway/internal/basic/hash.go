package basic

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"
)

// maxCost bounds bcrypt's work: 14 is about a second, and every step doubles it.
const maxCost = 14

// verifier checks a password against what is stored for one user.
type verifier interface {
	// verify takes about the same time whatever the password is.
	verify(password string) bool
	// cost orders verifiers by their work: 0 is not worth a cache.
	cost() int
}

// A stored value that looks like this is a hash, never a plain password, also when its kind is not
// known here.
var hashLike = regexp.MustCompile(
	`^(\$(1|2[abxy]?|5|6|7|y|gy|apr1|argon2[a-z]*|scrypt|pbkdf2[-a-z0-9]*)\$|\{[A-Z0-9]{3,}\})`)

// apr1 is Apache's MD5 crypt with 1000 rounds, which `htpasswd` and `openssl passwd -apr1` make: a
// salt, and 16 bytes.
var apr1 = regexp.MustCompile(`^\$apr1\$[^$]{0,8}\$[./0-9A-Za-z]{22}$`)

var errUnknownHash = errors.New("a kind of hash that is not known here (known: bcrypt, apr1, {SHA})")

// parse finds the verifier of a stored value. Only one key per user may be plain; a line of an
// htpasswd file may not.
func parse(stored string, plainAllowed bool) (verifier, error) {
	switch {
	case stored == "":
		return nil, errors.New("an empty password")
	case strings.HasPrefix(stored, "$2") && hashLike.MatchString(stored):
		c, err := bcrypt.Cost([]byte(stored))
		if err != nil {
			return nil, fmt.Errorf("not a bcrypt hash: %w", err)
		}
		if c > maxCost {
			return nil, fmt.Errorf("bcrypt cost %d is over %d", c, maxCost)
		}
		return bcrypted{[]byte(stored), c}, nil
	case strings.HasPrefix(stored, "$apr1$"):
		if !apr1.MatchString(stored) {
			return nil, errors.New("not an apr1 hash")
		}
		hash, err := htpasswd.AcceptMd5(stored)
		return weak{hash, 1}, err
	case strings.HasPrefix(stored, "{SHA}"):
		hash, err := htpasswd.AcceptSha(stored)
		if err != nil { // its own words hold the hash
			return nil, errors.New("not a {SHA} hash")
		}
		return weak{hash, 0}, nil
	case hashLike.MatchString(stored) || !plainAllowed:
		return nil, errUnknownHash
	}
	return plain(sha256.Sum256([]byte(stored))), nil
}

// plain is the SHA-256 of a plain password, so that a comparison does not tell its length.
type plain [sha256.Size]byte

func (p plain) verify(password string) bool {
	h := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(p[:], h[:]) == 1
}
func (plain) cost() int { return 0 }

type bcrypted struct {
	hash []byte
	c    int
}

func (b bcrypted) verify(password string) bool {
	return bcrypt.CompareHashAndPassword(b.hash, []byte(password)) == nil
}
func (b bcrypted) cost() int { return 1 + b.c }

// weak is a hash that Apache's htpasswd makes besides.
type weak struct {
	htpasswd.EncodedPasswd
	c int
}

func (w weak) verify(password string) bool { return w.MatchesPassword(password) }
func (w weak) cost() int                   { return w.c }
