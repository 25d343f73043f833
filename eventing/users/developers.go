package users

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// basicPrefix is what the whole identity of a user of HTTP Basic begins with.
const basicPrefix = "basic:"

// BasicIdentity is the whole identity of a user of HTTP Basic whom a Secret has proved. A namesake in
// another Secret is somebody else.
func BasicIdentity(secret, name string) string { return basicPrefix + secret + "/" + name }

// TokenIdentity is the whole identity of a user of tokens, with what stands before such names; "" is
// nobody's. It is never that of a user of HTTP Basic, whatever a token or the installation says.
func TokenIdentity(prefix, user string) string {
	if !strings.HasPrefix(user, prefix) { // the installation takes it for a user of HTTP Basic, too
		user = prefix + user
	}
	if strings.HasPrefix(user, basicPrefix) || CheckDeveloper(user) != nil {
		return ""
	}
	return user
}

// SecretOf is the Secret in a whole identity of a user of HTTP Basic.
func SecretOf(identity string) (secret string, basic bool) {
	rest, basic := strings.CutPrefix(identity, basicPrefix)
	secret, _, _ = strings.Cut(rest, "/")
	return secret, basic
}

// CheckDeveloper refuses what is not the whole identity of one user.
func CheckDeveloper(identity string) error {
	if secret, ok := strings.CutPrefix(identity, basicPrefix); ok {
		secret, name, ok := strings.Cut(secret, "/")
		if !ok || len(validation.IsDNS1123Subdomain(secret)) > 0 {
			return fmt.Errorf("%q is not of the form basic:<Secret>/<user>", identity)
		}
		return CheckBasic(name)
	}
	prefix, name, ok := strings.Cut(identity, ":")
	switch {
	case identity == Anonymous || name == Anonymous:
		return errors.New("anonymous is whoever calls an API without auth, and writes no weights")
	case !ok || prefix == "" || name == "" || !Possible(identity):
		return fmt.Errorf("%q is no whole identity: basic:<Secret>/<user>, or oidc:<user>", identity)
	}
	return nil
}

// Developers are the identities of a list with commas between. What is no identity is nobody's.
func Developers(list string) []string {
	var all []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); CheckDeveloper(word) == nil && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}
