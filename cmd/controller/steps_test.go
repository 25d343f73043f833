//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/translate/resources"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until check is content.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: after %v still: %v", what, patience, err)
}

// operator writes one of the operator's files.
func (c *cluster) operator(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600))
}

// namespace makes that of a module to which translate has brought the controller's Role.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	if c.bareNamespace(t, name) {
		c.role(t, name)
	}
}

// bareNamespace makes one without the Role, and reports whether it was not there.
func (c *cluster) bareNamespace(t *testing.T, name string) bool {
	t.Helper()
	err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if !apierrors.IsAlreadyExists(err) {
		must(t, err)
	}
	return err == nil
}

func (c *cluster) role(t *testing.T, namespace string) {
	t.Helper()
	role, binding := resources.MakeControllerRole(resources.Module{Namespace: namespace}, true)
	must(t, c.Create(t.Context(), role))
	must(t, c.Create(t.Context(), binding))
}

// apply creates the objects of a file.
func (c *cluster) apply(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), len(b)); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		must(t, c.Create(t.Context(), o))
	}
}

// requests counts those of a client.
type requests struct {
	mu  sync.Mutex
	all []string // method and path
}

func (r *requests) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		r.mu.Lock()
		r.all = append(r.all, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		return next.RoundTrip(req)
	})
}

// since are those after the first n whose path matches.
func (r *requests) since(n int, path func(string) bool) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.all[n:] {
		if path(x) {
			found = append(found, x)
		}
	}
	return found
}

func (r *requests) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// tell posts an event as the module's Trigger would, or anybody else, and gives the answer's code.
func (c *cluster) tell(t *testing.T, path, kind string, extensions map[string]string) int {
	t.Helper()
	code, err := c.told(t, path, kind, extensions)
	must(t, err)
	return code
}

// told is tell where there may be no answer.
func (c *cluster) told(t *testing.T, path, kind string, extensions map[string]string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.events+path, nil)
	must(t, err)
	for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/anybody",
		"Ce-Type": kind} {
		req.Header.Set(k, v)
	}
	for k, v := range extensions {
		req.Header.Set("Ce-"+k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func (c *cluster) box(t *testing.T, ns, name string) *platformv1.DataBox {
	t.Helper()
	return c.boxWith(t, ns, name, platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{},
		Sessions: []platformv1.Session{
			{Use: string(databox.Calls)}, {Use: string(databox.GetLinks)},
			{Use: string(databox.Model), Object: "models/"},
		}})
}

func (c *cluster) boxWith(t *testing.T, ns, name string, spec platformv1.DataBoxSpec) *platformv1.DataBox {
	t.Helper()
	c.namespace(t, ns)
	b := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: spec}
	must(t, c.Create(t.Context(), b))
	return b
}

func ready(b *platformv1.DataBox) metav1.Condition {
	if c := meta.FindStatusCondition(b.Status.Conditions, platformv1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// waitFor reads b until its condition Ready has the reason.
func (c *cluster) waitFor(t *testing.T, b *platformv1.DataBox, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("box %s/%s", b.Namespace, b.Name), func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
			return err
		}
		if r := ready(b); r.Reason != reason || r.ObservedGeneration != b.Generation {
			return fmt.Errorf("%s: %s, want %s", r.Reason, r.Message, reason)
		}
		return nil
	})
}

func (c *cluster) waitGone(t *testing.T, o client.Object) {
	t.Helper()
	eventually(t, fmt.Sprintf("%T %s gone", o, client.ObjectKeyFromObject(o)), func() error {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o.DeepCopyObject().(client.Object))
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there (%v)", err)
	})
}

func (c *cluster) annotate(t *testing.T, b *platformv1.DataBox, key, value string) {
	t.Helper()
	before := b.DeepCopy()
	metav1.SetMetaDataAnnotation(&b.ObjectMeta, key, value)
	must(t, c.Patch(t.Context(), b, client.MergeFrom(before)))
}

// touch makes the controller look at a box.
func (c *cluster) touch(t *testing.T, b *platformv1.DataBox) {
	t.Helper()
	c.annotate(t, b, "touched", time.Now().Format(time.RFC3339Nano))
}

func (c *cluster) secret(t *testing.T, ns, name string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, s))
	return s
}

// open is a client with the session in a box's Secret, as a component has it.
func (c *cluster) open(t *testing.T, ns, name string, a databox.Access) *minio.Client {
	t.Helper()
	s, err := databox.ParseSession(c.secret(t, ns, a.Secret(name, "")).Data[databox.SessionKey])
	must(t, err)
	m, err := s3.NewClient(s, s3.Static(s))
	must(t, err)
	return m
}

// editSession writes a changed session into a Secret.
func (c *cluster) editSession(t *testing.T, s *corev1.Secret, change func(*databox.Session)) error {
	t.Helper()
	x, err := databox.ParseSession(s.Data[databox.SessionKey])
	must(t, err)
	change(&x)
	b, err := json.Marshal(x)
	must(t, err)
	s.Data[databox.SessionKey] = b
	return c.Update(t.Context(), s)
}
