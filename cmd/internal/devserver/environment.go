package devserver

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/unip-knative/unip/translate/module"
)

// Environment is this process's own, without what the other commands log in with, and over it the
// component's: the objects of envFrom, then env, as far as the manifests hold the values. What names
// a mounted folder names the one that is here.
func Environment(m *module.Module, x module.Component, mounts Mounts, stderr io.Writer) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "UNIP_PASSWORD=") || strings.HasPrefix(e, "UNIP_TOKEN=")
	})
	// prints come at once; the checkout stays as it is
	env = append(env, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	for i, from := range x.EnvFrom {
		kind, name, optional := module.SourceOf(from)
		values, ok := m.Values(kind, name)
		if !ok && !optional {
			fmt.Fprintf(stderr,
				"%s: the %s %s is not in the manifests: set in your own environment what the function needs of it\n",
				x.Places.EnvFrom[i], kind, name)
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			env = append(env, from.Prefix+key+"="+mounts.Value(values[key]))
		}
	}
	for i, e := range x.Env {
		if e.ValueFrom == nil {
			env = append(env, e.Name+"="+mounts.Value(e.Value))
			continue
		}
		kind, name, key, optional := module.KeyOf(e.ValueFrom)
		values, _ := m.Values(kind, name)
		if value, ok := values[key]; ok {
			env = append(env, e.Name+"="+mounts.Value(value))
		} else if !optional {
			fmt.Fprintf(stderr, "%s: the key %s of the %s %s is not in the manifests: set %s in your own environment\n",
				x.Places.Env[i], key, kind, name, e.Name)
		}
	}
	return env
}
