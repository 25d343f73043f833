package translate

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// anonymous is who calls an open API. Nobody can be it by a password.
const anonymous = "anonymous"

// basicUsers checks the users in the Secrets that APIs name, as far as those are among the manifests:
// a user is a name in the whole module, whichever Secret it comes from, and a folder of each box.
func (c *checker) basicUsers() {
	first := map[string]*manifest.Secret{}
	for _, name := range sortedKeys(c.secrets) {
		at, ok := c.credentialsAt(name)
		if !ok {
			continue
		}
		s := c.secrets[name]
		for _, u := range usersOf(s) {
			if why := wrongUser(u.name); why != "" {
				c.found.Errorf(s.Position, "Secret %s: %s: %s", name, u.where, why)
				continue
			}
			before := first[u.name]
			if before != nil && before != s {
				c.found.Notef(at, "user %s stands in the Secrets %s and %s: with either password it is one user, with the same files and runs",
					u.name, before.Meta.Name.Value, name)
				continue
			}
			first[u.name] = s
		}
	}
}

// credentialsAt is where the first API names a Secret as its users.
func (c *checker) credentialsAt(secret string) (manifest.Position, bool) {
	for _, a := range c.module.APIs {
		if r := a.Spec.RestfulAPI; r != nil && r.Auth != nil && r.Auth.Basic != nil && r.Auth.Basic.Credentials.Value == secret {
			return r.Auth.Basic.Credentials.At, true
		}
	}
	return manifest.Position{}, false
}

// user is a name in a Secret, and in which of its keys and lines.
type user struct{ name, where string }

// usersOf reads a Secret as the gateway does (functions/gateway/internal/basic): a key per user, or lines of htpasswd.
func usersOf(s *manifest.Secret) []user {
	values := maps.Clone(s.StringData)
	if values == nil {
		values = map[string]string{}
	}
	for key, v := range s.Data {
		if b, err := resources.DecodeBase64(v); err == nil { // told where it is checked
			if _, written := values[key]; !written {
				values[key] = string(b)
			}
		}
	}
	var all []user
	for _, key := range sortedKeys(values) {
		if key != "auth" && !strings.HasSuffix(key, ".htpasswd") {
			all = append(all, user{key, fmt.Sprintf("key %q", key)})
			continue
		}
		lines := bufio.NewScanner(strings.NewReader(values[key]))
		lines.Buffer(nil, len(values[key])+1)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if name, _, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && name != "" {
				all = append(all, user{name, fmt.Sprintf("line %d of key %q", n, key)})
			}
		}
	}
	return all
}

func wrongUser(name string) string {
	switch {
	case name == anonymous:
		return "the user anonymous is whoever calls an API without auth; nobody can log in as it"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "the user's name has a control character or is not UTF-8"
	case strings.ContainsAny(name, ":/") || slices.Contains([]string{".", ".."}, name):
		return "the user's name cannot be sent, or be a folder: it has a \":\" or a \"/\", or is \".\" or \"..\""
	}
	return ""
}

// sharedBoxes notes boxes that other modules read and that hold users' files.
func (c *checker) sharedBoxes() {
	files := slices.ContainsFunc(c.module.APIs, func(a *manifest.APIComponent) bool { return a.Spec.Has("files") })
	for _, b := range c.module.Boxes {
		if v, ok := b.Meta.Annotations[manifest.SharedWith.Name]; ok && files && b.Spec.S3DefaultStorage != nil {
			c.found.Notef(v.At, "DataBox %s is shared, and the file API keeps users' files in it: other modules read what is not below users/, never those files",
				b.Meta.Name.Value)
		}
	}
}
