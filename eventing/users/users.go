// Package users is which names users can have. A name is a folder of each box, the owner of runs,
// and a line of logs, so that all who take one ask here.
package users

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// Anonymous has the files and runs of callers of an API that is open to everybody. Nobody can
	// log in with this name.
	Anonymous = "anonymous"
	// MaxName bounds a name in bytes.
	MaxName = 512
)

// Possible reports a name that somebody can log in with, whatever the way.
func Possible(name string) bool {
	return name != "" && len(name) <= MaxName && name != Anonymous && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, unicode.IsControl)
}

// CheckBasic reports an error for what is no name of a user of HTTP Basic, where a name ends at the
// first colon (RFC 7617).
func CheckBasic(name string) error {
	switch {
	case name == "":
		return errors.New("a user has a name")
	case name == Anonymous:
		return errors.New("the user anonymous is whoever calls an API without auth; nobody can log in as it")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("the user's name has a control character or is not UTF-8")
	case strings.ContainsAny(name, ":/") || slices.Contains([]string{".", ".."}, name):
		return errors.New(
			"the user's name cannot be sent, or be a folder: it has a \":\" or a \"/\", or is \".\" or \"..\"")
	case len(name) > MaxName:
		return errors.New("the user's name is longer than 512 bytes")
	}
	return nil
}

// IsHtpasswd reports a key of a Secret of users whose value is lines of htpasswd's format. Every other
// key is a user's name.
func IsHtpasswd(key string) bool { return key == "auth" || strings.HasSuffix(key, ".htpasswd") }

// Htpasswd are the names and hashes of a text in htpasswd's format.
func Htpasswd(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name, hash, ok := strings.Cut(line, ":")
			if ok && name != "" && !strings.HasPrefix(line, "#") && !yield(name, hash) {
				return
			}
		}
	}
}

// CheckKey reports an error for a user who cannot have a key of a Secret to himself.
func CheckKey(name string) error {
	if err := CheckBasic(name); err != nil {
		return err
	}
	if IsHtpasswd(name) {
		return fmt.Errorf("%q is the name of a list of users in htpasswd's format", name)
	}
	if why := validation.IsConfigMapKey(name); len(why) > 0 {
		return fmt.Errorf("%q cannot be a key of a Secret: %s", name, why[0])
	}
	return nil
}

// Known is the name that code of a module may see of a run's user or a call's: "" for nobody.
func Known(user string) string {
	if user == Anonymous {
		return ""
	}
	return user
}
