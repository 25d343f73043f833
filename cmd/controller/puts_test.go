//go:build integration

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/put"
)

// member is somebody with one of the roles for users in a namespace.
func (c *cluster) member(t *testing.T, ns, name, role string) client.Client {
	t.Helper()
	must(t, c.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}}))
	return c.as(t, name)
}

// as is somebody with whatever rights were given.
func (c *cluster) as(t *testing.T, name string) client.Client {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:authenticated"}}
	out, err := client.New(config, client.Options{Scheme: c.Scheme()})
	must(t, err)
	return out
}

// request writes a request as `unip files put` does.
func request(t *testing.T, by client.Client, b *platformv1.DataBox, name string, value any) error {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}})
	must(t, err)
	return by.Patch(t.Context(), b.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
}

func ask(t *testing.T, key string, size int64, overwrite bool) put.Asked {
	t.Helper()
	a, err := put.Ask(key, size, overwrite)
	must(t, err)
	return a
}

// answer waits for the answer to a request.
func (c *cluster) answer(t *testing.T, b *platformv1.DataBox, id string) (answer platformv1.Put) {
	t.Helper()
	eventually(t, "the answer", func() error {
		now := &platformv1.DataBox{}
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), now))
		i := slices.IndexFunc(now.Status.Puts, func(p platformv1.Put) bool { return p.Request == id })
		if i < 0 {
			return fmt.Errorf("%+v", now.Status.Puts)
		}
		answer = now.Status.Puts[i]
		return nil
	})
	return answer
}

// link is that of a request that is granted.
func (c *cluster) link(t *testing.T, by client.Client, b *platformv1.DataBox, a put.Asked) string {
	t.Helper()
	must(t, request(t, by, b, a.Name, a.Value))
	answer := c.answer(t, b, a.ID())
	if answer.Reason != "" {
		t.Fatalf("%s: %s", answer.Reason, answer.Message)
	}
	link, err := a.Open(answer.Link)
	must(t, err)
	return link
}

// send is a request with a link; it gives the status.
func send(t *testing.T, method, link, body string, header map[string]string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(body))
	must(t, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func (c *cluster) content(t *testing.T, bucket, key string) string {
	t.Helper()
	o, err := c.s3.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	must(t, err)
	b, err := io.ReadAll(o)
	must(t, err)
	return string(b)
}

// authorsWrite: who may change a box gets a link that writes one object of the developer's area, and who
// may only read it gets nothing, not from others' answers either.
func (c *cluster) authorsWrite(t *testing.T) {
	const ns = "authored"
	c.apply(t, "../../config/310-roles-for-users.yaml")
	b := c.box(t, ns, "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	editor, viewer := c.member(t, ns, "ann", "unip-edit"), c.member(t, ns, "boris", "unip-view")

	a := ask(t, "models/m", 5, false)
	if err := request(t, viewer, b, a.Name, a.Value); !apierrors.IsForbidden(err) {
		t.Errorf("who may only view a box asks: %v", err)
	}
	link := c.link(t, editor, b, a)
	seen := &platformv1.DataBox{}
	must(t, viewer.Get(t.Context(), client.ObjectKeyFromObject(b), seen))
	text, err := json.Marshal(seen)
	must(t, err)
	if len(seen.Status.Puts) != 1 || bytes.Contains(text, []byte("X-Amz")) || bytes.Contains(text, []byte(link)) {
		t.Errorf("a reader sees %s", text)
	}
	if _, err := ask(t, "models/m", 5, false).Open(seen.Status.Puts[0].Link); err == nil {
		t.Error("somebody else has opened the answer")
	}

	u, err := url.Parse(link)
	must(t, err)
	other := *u
	other.Path = strings.Replace(u.Path, "models/m", "models/n", 1)
	c.s3.Put(t, b.Status.Bucket, "secret", "of another")
	for what, code := range map[string]int{
		"a longer file":  send(t, http.MethodPut, link, "longer", nil),
		"a shorter file": send(t, http.MethodPut, link, "four", nil),
		"another key":    send(t, http.MethodPut, other.String(), "model", nil),
		"to read":        send(t, http.MethodGet, link, "", nil),
		"to delete":      send(t, http.MethodDelete, link, "", nil),
		"a copy": send(t, http.MethodPut, link, "model",
			map[string]string{"X-Amz-Copy-Source": "/" + b.Status.Bucket + "/secret"}),
		"tags": send(t, http.MethodPut, link, "model", map[string]string{"X-Amz-Tagging": "a=b"}),
	} {
		if code < 400 {
			t.Errorf("%s: the link is good for it: %d", what, code)
		}
	}
	if code := send(t, http.MethodPut, link, "model", map[string]string{"Content-Type": "text/plain"}); code != 200 ||
		c.content(t, b.Status.Bucket, "models/m") != "model" {
		t.Errorf("the link itself: %d", code)
	}

	// The answer goes with its request.
	must(t, request(t, editor, b, a.Name, nil))
	c.noPuts(t, b)

	// What is there is replaced only when that is said.
	if x := c.refusal(t, editor, b, ask(t, "models/m", 5, false)); x.Reason != put.Exists {
		t.Errorf("%+v", x)
	}
	c.link(t, editor, b, ask(t, "models/m", 6, true))

	// Requests of several at once are all answered.
	var all []put.Asked
	for i := range 6 {
		all = append(all, ask(t, fmt.Sprintf("models/%d", i), 5, false))
	}
	errs := make(chan error)
	for _, a := range all {
		go func() { errs <- request(t, editor, b, a.Name, a.Value) }()
	}
	for range all {
		must(t, <-errs)
	}
	for _, a := range all {
		if _, err := a.Open(c.answer(t, b, a.ID()).Link); err != nil {
			t.Error(err)
		}
	}

	// What nobody has taken away goes when its time is over.
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), b))
	before := b.DeepCopy()
	for i := range b.Status.Puts {
		b.Status.Puts[i].Expires = metav1.NewTime(time.Now().Add(-time.Second))
	}
	must(t, c.Status().Patch(t.Context(), b, client.MergeFrom(before)))
	c.touch(t, b)
	c.noPuts(t, b)
}

// noPuts waits until a box has neither requests nor answers.
func (c *cluster) noPuts(t *testing.T, b *platformv1.DataBox) {
	t.Helper()
	eventually(t, "the end of requests", func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), b))
		for name := range b.Annotations {
			if strings.HasPrefix(name, put.Prefix) {
				return errors.New(name)
			}
		}
		if len(b.Status.Puts) > 0 {
			return fmt.Errorf("%+v", b.Status.Puts)
		}
		return nil
	})
}

// refusal is the answer to a request that gets no link; the request is taken away.
func (c *cluster) refusal(t *testing.T, by client.Client, b *platformv1.DataBox, a put.Asked) platformv1.Put {
	t.Helper()
	must(t, request(t, by, b, a.Name, a.Value))
	answer := c.answer(t, b, a.ID())
	if len(answer.Link) > 0 || answer.Message == "" {
		t.Errorf("%+v", answer)
	}
	must(t, request(t, by, b, a.Name, nil))
	return answer
}

// forged is a request as a program makes it that checks nothing.
func forged(t *testing.T, change func(*put.Request)) put.Asked {
	t.Helper()
	a := ask(t, "models/x", 5, false)
	change(&a.Request)
	value, err := json.Marshal(a.Request)
	must(t, err)
	sum := sha256.Sum256(value)
	a.Value, a.Name = string(value), put.Prefix+hex.EncodeToString(sum[:16])
	return a
}

// refusesToWrite: requests that were made by hand get no further than those that the program makes.
func (c *cluster) refusesToWrite(t *testing.T) {
	const ns = "authored"
	b := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "weights"}}
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), b))
	user := databox.UserPrefix("ann") + "g/f"
	for what, x := range map[string]struct {
		a    put.Asked
		says string
	}{
		"a user's file": {forged(t, func(r *put.Request) { r.Key = user }), "users/"},
		"all users":     {forged(t, func(r *put.Request) { r.Key = "users/" }), "users/"},
		"a folder":      {forged(t, func(r *put.Request) { r.Key = "models/" }), "folder"},
		"a pattern":     {forged(t, func(r *put.Request) { r.Key = "models/*" }), "rename it"},
		"a way out":     {forged(t, func(r *put.Request) { r.Key = "a/../users/ann" }), "segment"},
		"a huge one":    {forged(t, func(r *put.Request) { r.Size = 6 << 30 }), "at most"},
		"no key":        {forged(t, func(r *put.Request) { r.To = nil }), "not a request"},
		"no JSON":       {put.Asked{Name: put.Prefix + "x", Value: "models/m"}, "not a request"},
		"another's name": {put.Asked{Name: ask(t, "m", 1, false).Name, Value: ask(t, "n", 1, false).Value},
			"changed"},
	} {
		if got := c.refusal(t, c.Client, b, x.a); got.Reason != put.Invalid || !strings.Contains(got.Message, x.says) {
			t.Errorf("%s: %+v", what, got)
		}
	}

	dataset := c.boxWith(t, ns, "leaves", platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: "leaves", Namespace: "nobody"}}})
	if got := c.refusal(t, c.Client, dataset, ask(t, "models/m", 1, false)); got.Reason != put.ReadOnly {
		t.Errorf("a dataset: %+v", got)
	}

	small := c.boxWith(t, ns, "small", platformv1.DataBoxSpec{
		S3DefaultStorage: &platformv1.S3DefaultStorage{Capacity: new(resource.MustParse("1k"))}})
	c.waitFor(t, small, platformv1.ReasonReady)
	eventually(t, "the box is counted", func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(small), small))
		if small.Status.Used == nil {
			return errors.New("it is not")
		}
		return nil
	})
	if got := c.refusal(t, c.Client, small, ask(t, "models/m", 1001, false)); got.Reason != put.BoxFull {
		t.Errorf("a file that is larger than the box: %+v", got)
	}
	c.link(t, c.Client, small, ask(t, "models/m", 999, false))

	foreign := databox.UsualBuckets.Box(ns, "theirs")
	must(t, c.s3.MakeBucket(t.Context(), foreign, minio.MakeBucketOptions{}))
	c.s3.Put(t, foreign, "theirs", "x")
	theirs := c.box(t, ns, "theirs")
	c.waitFor(t, theirs, platformv1.ReasonBucketNotOurs)
	if got := c.refusal(t, c.Client, theirs, ask(t, "models/m", 1, false)); got.Reason != put.NotUsable {
		t.Errorf("a bucket of somebody else: %+v", got)
	}
}

// developersWrite: a gateway gets a link for whom the box names, and by its rights nothing else of boxes.
func (c *cluster) developersWrite(t *testing.T) {
	const ns = "developed"
	b := c.box(t, ns, "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	c.annotate(t, b, platformv1.DevelopersAnnotation, "basic:leaf-users/ann, oidc:boris")
	dataset := c.boxWith(t, ns, "leaves", platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: "leaves", Namespace: "nobody"}}})
	c.annotate(t, dataset, platformv1.DevelopersAnnotation, "oidc:boris")
	must(t, c.Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "gateway"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{runtimev1.GroupVersion.Group}, Resources: []string{"boxputs"},
			Verbs: []string{"get", "create", "delete"}}}}))
	must(t, c.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "gateway"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "gateway"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "gateway"}}}))
	gateway := c.as(t, "system:serviceaccount:"+ns+":gateway")
	editor := c.member(t, ns, "ann", "unip-edit")

	requested := func(by client.Client, box, developer string, a put.Asked) (*runtimev1.BoxPut, error) {
		x := &runtimev1.BoxPut{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: a.ID()},
			Spec: runtimev1.BoxPutSpec{Box: box, Request: a.Value, Developer: developer}}
		return x, by.Create(t.Context(), x)
	}
	answered := func(box, developer string, a put.Asked) *runtimev1.BoxPut {
		x, err := requested(gateway, box, developer, a)
		must(t, err)
		eventually(t, "the answer", func() error {
			must(t, gateway.Get(t.Context(), client.ObjectKeyFromObject(x), x))
			if x.Status.Reason == "" && x.Status.Expires == nil {
				return errors.New("there is none")
			}
			return nil
		})
		return x
	}
	a := ask(t, "models/m", 5, false)
	x := answered("weights", "basic:leaf-users/ann", a)
	link, err := a.Open(x.Status.Link)
	must(t, err)
	if code := send(t, http.MethodPut, link, "model", nil); code != 200 ||
		c.content(t, b.Status.Bucket, "models/m") != "model" {
		t.Errorf("the link: %d", code)
	}
	for _, c := range []struct {
		box, developer string
		a              put.Asked
		reason         string
	}{
		{"weights", "basic:others/ann", ask(t, "models/n", 5, false), put.NotNamed},
		{"weights", "ann", ask(t, "models/n", 5, false), put.NotNamed},
		{"weights", "anonymous", ask(t, "models/n", 5, false), put.NotNamed},
		{"weights", "", ask(t, "models/n", 5, false), put.NotNamed},
		{"weights", "oidc:boris", ask(t, "models/m", 5, false), put.Exists},
		{"leaves", "oidc:boris", ask(t, "models/n", 5, false), put.ReadOnly},
		{"none", "oidc:boris", ask(t, "models/n", 5, false), put.NotUsable},
		{"weights", "oidc:boris", forged(t, func(r *put.Request) { r.Key = databox.UserPrefix("ann") + "g/f" }), put.Invalid},
	} {
		if x := answered(c.box, c.developer, c.a); x.Status.Reason != c.reason || len(x.Status.Link) > 0 {
			t.Errorf("%s of %s: %+v", c.developer, c.box, x.Status)
		}
	}
	// Who was taken out of the list gets nothing more, whatever the gateway knows.
	c.annotate(t, b, platformv1.DevelopersAnnotation, "oidc:boris")
	if x := answered("weights", "basic:leaf-users/ann", ask(t, "models/n", 5, false)); x.Status.Reason != put.NotNamed {
		t.Errorf("a former developer: %+v", x.Status)
	}
	// The gateway changes no box and answers nothing itself; an editor does not speak for a gateway.
	a = ask(t, "models/n", 5, false)
	if err := request(t, gateway, b, a.Name, a.Value); !apierrors.IsForbidden(err) {
		t.Errorf("the gateway changes a box: %v", err)
	}
	before := x.DeepCopy()
	x.Status.Message = "by the gateway"
	if err := gateway.Status().Patch(t.Context(), x, client.MergeFrom(before)); !apierrors.IsForbidden(err) {
		t.Errorf("the gateway answers: %v", err)
	}
	if _, err := requested(editor, "weights", "oidc:boris", a); !apierrors.IsForbidden(err) {
		t.Errorf("an editor makes a gateway's request: %v", err)
	}
	must(t, gateway.Delete(t.Context(), x))
}
