package module

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/manifest"
)

// checkUsers checks the users in the Secrets that APIs name, as far as those are among the
// manifests: a user is a name in the whole module, whichever Secret it comes from, and a folder of
// each box.
func checkUsers(found *scope, m *Module) {
	secrets := slices.Clone(m.Secrets)
	slices.SortStableFunc(secrets, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	first := map[string]string{}
	for _, s := range slices.CompactFunc(secrets, func(a, b Secret) bool { return a.Name == b.Name }) {
		at, ok := credentialsAt(found.read, s.Name)
		if !ok {
			continue
		}
		for _, u := range usersOf(s) {
			if err := users.CheckBasic(u.name); err != nil {
				found.Errorf(s.Position, "Secret %s: %s: %v", s.Name, u.where, err)
				continue
			}
			if before, known := first[u.name]; known && before != s.Name {
				found.Notef(at, "user %s stands in the Secrets %s and %s: with either password it is one user, "+
					"with the same files and runs", u.name, before, s.Name)
				continue
			}
			first[u.name] = s.Name
		}
	}
}

// credentialsAt is where the first API names a Secret as its users.
func credentialsAt(read *manifest.Module, secret string) (manifest.Position, bool) {
	for _, a := range read.APIs {
		if r := a.Spec.RestfulAPI; r != nil && r.Auth != nil && r.Auth.Basic != nil &&
			r.Auth.Basic.Credentials.Value == secret {
			return r.Auth.Basic.Credentials.At, true
		}
	}
	return manifest.Position{}, false
}

// Users are the names of the users in a Secret, sorted; known is false when the manifests do not hold it.
func (m *Module) Users(secret string) (names []string, known bool) {
	values, known := m.Values("Secret", secret)
	if !known {
		return nil, false
	}
	data := map[string][]byte{}
	for key, value := range values {
		data[key] = []byte(value)
	}
	for _, u := range usersOf(Secret{Data: data}) {
		names = append(names, u.name)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// user is a name in a Secret, and in which of its keys and lines.
type user struct{ name, where string }

// usersOf reads a Secret as the gateway does (functions/gateway/internal/basic): a key per user, or
// lines of htpasswd.
func usersOf(s Secret) []user {
	var all []user
	for _, key := range sortedKeys(s.Data) {
		if !users.IsHtpasswd(key) {
			all = append(all, user{key, fmt.Sprintf("key %q", key)})
			continue
		}
		value := string(s.Data[key])
		lines := bufio.NewScanner(strings.NewReader(value))
		lines.Buffer(nil, len(value)+1)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if name, _, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") && name != "" {
				all = append(all, user{name, fmt.Sprintf("line %d of key %q", n, key)})
			}
		}
	}
	return all
}
