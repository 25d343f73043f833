package service

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/eventing/names"
)

// Service is a Knative Service of a module, as far as the router knows it.
type Service struct {
	Name string
	// Gateway: the module's calls go there. Others are components.
	Gateway bool
	// Paths are those of the component's APIs; those of OpenPaths want no login.
	Paths, OpenPaths []string
}

// Modules are all modules of the cluster. It is safe for concurrent use.
type Modules struct {
	mu  sync.RWMutex
	all map[string]*target // by namespace
}

// target is what calls of a module are for.
type target struct {
	gateway    string
	components map[string]*component // by the names of their Services
	paths      map[string]path
}

type path struct {
	*component
	open bool
}

// component may be woken.
type component struct {
	name   string
	seen   atomic.Int64 // when it has answered last, by Unix time in nanoseconds
	waking atomic.Bool
}

// Set says which Services a module has now.
func (m *Modules) Set(namespace string, services []Service) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.all[namespace]
	t := &target{components: map[string]*component{}, paths: map[string]path{}}
	for _, s := range services {
		if s.Gateway {
			if t.gateway == "" || s.Name == names.Gateway || t.gateway != names.Gateway && s.Name < t.gateway {
				t.gateway = s.Name
			}
			continue
		}
		c := &component{name: s.Name}
		if before != nil && before.components[s.Name] != nil {
			c = before.components[s.Name]
		}
		t.components[s.Name] = c
		for _, p := range s.Paths {
			t.paths[p] = path{component: c}
		}
		for _, p := range s.OpenPaths {
			t.paths[p] = path{component: c, open: true}
		}
	}
	if m.all == nil {
		m.all = map[string]*target{}
	}
	if t.gateway == "" {
		delete(m.all, namespace)
		return
	}
	m.all[namespace] = t
}

// find is the module of a namespace, nil when there is none that is called from outside.
func (m *Modules) find(namespace string) *target {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.all[namespace]
}

func (m *Modules) count() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.all)
}

// component is the one that a path below the namespace belongs to, by the longest path of an API;
// without one it is the zero value.
func (t *target) component(rest string) path {
	for {
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			return path{}
		}
		rest = rest[:i]
		if p, ok := t.paths[rest]; ok {
			return p
		}
	}
}

// Module is what operators are shown of one.
type Module struct {
	Namespace  string            `json:"namespace"`
	Gateway    string            `json:"gateway"`
	Components map[string]string `json:"components,omitempty"` // by path
}

// All modules, by their namespaces.
func (m *Modules) All() []Module {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]Module, 0, len(m.all))
	for _, namespace := range slices.Sorted(maps.Keys(m.all)) {
		t := m.all[namespace]
		x := Module{Namespace: namespace, Gateway: t.gateway, Components: map[string]string{}}
		for p, c := range t.paths {
			x.Components[p] = c.name
		}
		all = append(all, x)
	}
	return all
}

// awake reports that the component has answered a moment ago.
func (c *component) awake(now time.Time) bool { return now.UnixNano()-c.seen.Load() < int64(fresh) }

func (c *component) answered(now time.Time) { c.seen.Store(now.UnixNano()) }
