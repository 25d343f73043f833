package basic

import (
	"crypto/md5"  // apr1 is what htpasswd writes by default
	"crypto/sha1" // {SHA} of htpasswd
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

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
		salt, sum, ok := strings.Cut(strings.TrimPrefix(stored, "$apr1$"), "$")
		if !ok || len(salt) > 8 || len(sum) != 22 {
			return nil, errors.New("not an apr1 hash")
		}
		return apr1{salt, sum}, nil
	case strings.HasPrefix(stored, "{SHA}"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(stored, "{SHA}"))
		if err != nil || len(b) != sha1.Size {
			return nil, errors.New("not a {SHA} hash")
		}
		return sha(b), nil
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

type sha []byte

func (s sha) verify(password string) bool {
	h := sha1.Sum([]byte(password)) // see above
	return subtle.ConstantTimeCompare(s, h[:]) == 1
}
func (sha) cost() int { return 0 }

type bcrypted struct {
	hash []byte
	c    int
}

func (b bcrypted) verify(password string) bool {
	return bcrypt.CompareHashAndPassword(b.hash, []byte(password)) == nil
}
func (b bcrypted) cost() int { return 1 + b.c }

// apr1 is Apache's MD5 crypt with 1000 rounds: weak, and still what `htpasswd` and `openssl passwd
// -apr1` make.
type apr1 struct{ salt, sum string }

func (a apr1) verify(password string) bool {
	return subtle.ConstantTimeCompare([]byte(a.sum), []byte(apr1Sum(password, a.salt))) == 1
}
func (apr1) cost() int { return 1 }

// apr1Sum follows the algorithm as published with the Apache Portable Runtime (apr_md5_encode).
func apr1Sum(password, salt string) string {
	inner := md5.Sum([]byte(password + salt + password)) // see above
	d := md5.New()                                       // see above
	d.Write([]byte(password + "$apr1$" + salt))
	for i := len(password); i > 0; i -= md5.Size {
		d.Write(inner[:min(i, md5.Size)])
	}
	for i := len(password); i > 0; i >>= 1 {
		if i&1 == 1 {
			d.Write([]byte{0})
		} else {
			d.Write([]byte(password[:1]))
		}
	}
	sum := d.Sum(nil)
	for i := range 1000 {
		d.Reset()
		odd := i&1 == 1
		write := func(isPassword bool) {
			if isPassword {
				d.Write([]byte(password))
			} else {
				d.Write(sum)
			}
		}
		write(odd)
		if i%3 != 0 {
			d.Write([]byte(salt))
		}
		if i%7 != 0 {
			d.Write([]byte(password))
		}
		write(!odd)
		sum = d.Sum(nil)
	}
	return apr1Encode(sum)
}

func apr1Encode(sum []byte) string {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	put := func(v uint32, n int) {
		for range n {
			out = append(out, alphabet[v&0x3f])
			v >>= 6
		}
	}
	for _, t := range [5][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		put(uint32(sum[t[0]])<<16|uint32(sum[t[1]])<<8|uint32(sum[t[2]]), 4)
	}
	put(uint32(sum[11]), 2)
	return string(out)
}
