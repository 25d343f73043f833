package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/users"
)

// UsersManager is the field manager of the users that `unip users` writes. Applying a module has
// another one, and so leaves their keys alone.
const UsersManager = "unip-users"

// passwordsDir is the folder in the gateway below which Secrets of users are mounted.
const passwordsDir = "/unip/auth/"

var (
	serviceKind   = generated[0]
	secretKind    = generated[len(generated)-1]
	namespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
)

// Modules are the namespaces of modules.
func (c *Cluster) Modules(ctx context.Context) ([]string, error) {
	found, err := c.list(ctx, "", namespaceKind, client.MatchingLabels{label.ManagedBy: label.Unip})
	var all []string
	for _, o := range found {
		all = append(all, o.GetName())
	}
	return all, err
}

// CredentialSecrets are the Secrets that the APIs of a module name as their users, as the module's
// gateway mounts them.
func (c *Cluster) CredentialSecrets(ctx context.Context, namespace string) ([]string, error) {
	gateways, err := c.list(ctx, namespace, serviceKind,
		client.MatchingLabels{label.ManagedBy: label.Unip, label.Component: "gateway"})
	if err != nil {
		return nil, err
	}
	if len(gateways) == 0 {
		return nil, fmt.Errorf("there is no module with APIs in namespace %s", namespace)
	}
	var all []string
	for _, g := range gateways {
		volumes, _, _ := unstructured.NestedSlice(g.Object, "spec", "template", "spec", "volumes")
		containers, _, _ := unstructured.NestedSlice(g.Object, "spec", "template", "spec", "containers")
		mounted := map[string]bool{} // volumes; the shapes are Knative's
		for _, x := range containers {
			container, _ := x.(map[string]any)
			mounts, _, _ := unstructured.NestedSlice(container, "volumeMounts")
			for _, x := range mounts {
				m, _ := x.(map[string]any)
				path, _, _ := unstructured.NestedString(m, "mountPath")
				name, _, _ := unstructured.NestedString(m, "name")
				mounted[name] = mounted[name] || strings.HasPrefix(path, passwordsDir)
			}
		}
		for _, x := range volumes {
			v, _ := x.(map[string]any)
			name, _, _ := unstructured.NestedString(v, "name")
			if secret, _, _ := unstructured.NestedString(v, "secret", "secretName"); mounted[name] && secret != "" {
				all = append(all, secret)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// UserEntry is a user of HTTP Basic.
type UserEntry struct {
	Name string `json:"name"`
	// From says who keeps the user: UsersManager, Manager (the manifests), or another field
	// manager. Key is the Secret's key that has the user in a list, "" for a key of the user's own.
	From string `json:"from"`
	Key  string `json:"key,omitempty"`
	// Stored says how the password is kept: bcrypt, apr1, sha or plain.
	Stored string `json:"stored"`
}

// userSecret is a Secret of users as it is, or as it is not there yet.
type userSecret struct {
	namespace, name string
	live            *Object // nil: there is none
	data            map[string]string
	managers        map[string][]string // of the keys
}

func (c *Cluster) userSecret(ctx context.Context, namespace, name string) (*userSecret, error) {
	s := &userSecret{namespace: namespace, name: name, data: map[string]string{}}
	live, err := c.get(ctx, newObject(secretKind, namespace, name))
	if err != nil || live == nil {
		return s, err
	}
	s.live, s.managers = live, managersOf(live, "f:data")
	all, _, err := unstructured.NestedStringMap(live.Object, "data")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name(live), err)
	}
	s.data = all
	return s, nil
}

// managersOf are the field managers of the entries of a map, by their keys.
func managersOf(o *Object, field string) map[string][]string {
	all := map[string][]string{}
	for _, m := range o.GetManagedFields() {
		var top, entries map[string]json.RawMessage
		if m.FieldsV1 == nil || json.Unmarshal(m.FieldsV1.Raw, &top) != nil ||
			json.Unmarshal(top[field], &entries) != nil {
			continue // it owns nothing there
		}
		manager := m.Manager
		if manager == UsersManager && m.Operation != metav1.ManagedFieldsOperationApply {
			manager = "somebody who calls himself " + manager
		}
		for key := range entries {
			if name, ok := strings.CutPrefix(key, "f:"); ok {
				all[name] = append(all[name], manager)
			}
		}
	}
	return all
}

// from is who keeps a key: `unip users` only where nobody else does.
func (s *userSecret) from(key string) string {
	managers := slices.Sorted(slices.Values(s.managers[key]))
	switch {
	case slices.Equal(managers, []string{UsersManager}):
		return UsersManager
	case slices.Contains(managers, Manager):
		return Manager
	}
	managers = slices.DeleteFunc(managers, func(m string) bool { return m == UsersManager })
	return strings.Join(managers, ", ")
}

// users of the Secret, by their names.
func (s *userSecret) users() []UserEntry {
	var all []UserEntry
	for _, key := range slices.Sorted(maps.Keys(s.data)) {
		value, err := base64.StdEncoding.DecodeString(s.data[key])
		if err != nil {
			continue // the API server takes no other
		}
		if !users.IsHtpasswd(key) {
			all = append(all, UserEntry{Name: key, From: s.from(key), Stored: storedAs(string(value))})
			continue
		}
		for name, hash := range users.Htpasswd(string(value)) {
			all = append(all, UserEntry{Name: name, From: s.from(key), Key: key, Stored: storedAs(hash)})
		}
	}
	slices.SortStableFunc(all, func(a, b UserEntry) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func storedAs(password string) string {
	for prefix, kind := range map[string]string{"$2": "bcrypt", "$apr1$": "apr1", "{SHA}": "sha"} {
		if strings.HasPrefix(password, prefix) {
			return kind
		}
	}
	return "plain"
}

// Users lists the users of a Secret. A Secret that is not there has none.
func (c *Cluster) Users(ctx context.Context, namespace, secret string) ([]UserEntry, error) {
	s, err := c.userSecret(ctx, namespace, secret)
	if err != nil {
		return nil, err
	}
	return s.users(), nil
}

// Errors of changes to users.
var (
	ErrUserExists = errors.New("there is such a user already")
	ErrNoUser     = errors.New("there is no such user")
	// ErrNotOurs: somebody else keeps the user.
	ErrNotOurs = errors.New("the user is not kept by unip users")
)

// AddUser writes a new user with the hash of a password, and makes the Secret where there is none.
func (c *Cluster) AddUser(ctx context.Context, namespace, secret, name, hash string) error {
	return c.changeUsers(ctx, namespace, secret, func(s *userSecret, own map[string]any) error {
		for _, u := range s.users() {
			if u.Name == name {
				return fmt.Errorf("%w: %s", ErrUserExists, s.where(u))
			}
		}
		own[name] = base64.StdEncoding.EncodeToString([]byte(hash))
		return nil
	})
}

// SetUser changes a user's password.
func (c *Cluster) SetUser(ctx context.Context, namespace, secret, name, hash string) error {
	return c.changeUsers(ctx, namespace, secret, func(s *userSecret, own map[string]any) error {
		own[name] = base64.StdEncoding.EncodeToString([]byte(hash))
		return s.ours(name)
	})
}

// RemoveUser takes a user away.
func (c *Cluster) RemoveUser(ctx context.Context, namespace, secret, name string) error {
	return c.changeUsers(ctx, namespace, secret, func(s *userSecret, own map[string]any) error {
		delete(own, name)
		return s.ours(name)
	})
}

// MayChange reports why `unip users` cannot change a user.
func (c *Cluster) MayChange(ctx context.Context, namespace, secret, name string) error {
	s, err := c.userSecret(ctx, namespace, secret)
	if err != nil {
		return err
	}
	return s.ours(name)
}

// ours is the reason for which a user cannot be changed by `unip users`.
func (s *userSecret) ours(name string) error {
	all := s.users()
	i := slices.IndexFunc(all, func(u UserEntry) bool { return u.Name == name })
	switch {
	case i < 0:
		return fmt.Errorf("%w in Secret %s of %s", ErrNoUser, s.name, s.namespace)
	case all[i].From != UsersManager || all[i].Key != "":
		return fmt.Errorf("%w: %s", ErrNotOurs, s.where(all[i]))
	}
	return nil
}

// where says where a user is changed.
func (s *userSecret) where(u UserEntry) string {
	place := "Secret " + s.name
	if u.Key != "" {
		place = fmt.Sprintf("key %q of Secret %s", u.Key, s.name)
	}
	switch u.From {
	case UsersManager:
		return u.Name + " was added by `unip users`, which changes and removes the user too"
	case Manager:
		return fmt.Sprintf("%s stands in the manifests, in %s: change it there, and apply them", u.Name, place)
	}
	return fmt.Sprintf("%s was put into %s by %s: change it there", u.Name, place, u.From)
}

// maxTries bounds how often a change is made again because somebody else was quicker.
const maxTries = 5

// changeUsers applies the keys of UsersManager after a change to them. It holds for the Secret as it
// was read: when that has changed meanwhile, it is read again.
func (c *Cluster) changeUsers(ctx context.Context, namespace, secret string,
	change func(s *userSecret, own map[string]any) error) error {
	for try := 1; ; try++ {
		s, err := c.userSecret(ctx, namespace, secret)
		if err != nil {
			return err
		}
		own := map[string]any{}
		for key, value := range s.data {
			if slices.Contains(s.managers[key], UsersManager) {
				own[key] = value
			}
		}
		if err := change(s, own); err != nil {
			return err
		}
		o := newObject(secretKind, namespace, secret)
		o.Object["data"] = own
		if s.live != nil {
			o.SetResourceVersion(s.live.GetResourceVersion())
		}
		err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(UsersManager))
		switch {
		case err == nil:
			return nil
		case apierrors.IsConflict(err) && !fieldConflict(err) && try < maxTries:
		default:
			return fmt.Errorf("%s: %w", Name(o), err)
		}
	}
}

// fieldConflict reports that a field is somebody else's, not that the object has changed.
func fieldConflict(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// HasUsers reports a Secret with users that `unip users` has written.
func HasUsers(o *Object) bool {
	if o.GroupVersionKind() != secretKind {
		return false
	}
	for _, managers := range managersOf(o, "f:data") {
		if slices.Contains(managers, UsersManager) {
			return true
		}
	}
	return false
}

// Release leaves a Secret that the module no longer has to the users that `unip users` has written:
// what came of the manifests goes.
func (c *Cluster) Release(ctx context.Context, o *Object) (Result, error) {
	r := Result{Object: Name(o), Result: "kept", Reason: "it has users of `unip users`; those of the manifests are gone"}
	_, err := c.apply(ctx, withoutModule(o), false, false)
	return r, err
}

// withoutModule is an object of which the manifests say nothing any more: applied, it keeps what
// others have put there.
func withoutModule(o *Object) *Object {
	return newObject(o.GroupVersionKind(), o.GetNamespace(), o.GetName())
}
