//go:build integration

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/freeport"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/versitytest"
	"github.com/unip-knative/unip/eventing/names"
)

// withoutSTS is a controller with an S3 server that has no STS, no notifications of buckets and no
// lifecycles: versitygw.
type withoutSTS struct {
	*uploading
	server *versitytest.Server
	keys   map[string]s3.Keys // of users of the server
}

func newWithoutSTS(t *testing.T) *withoutSTS {
	t.Helper()
	w := &withoutSTS{keys: map[string]s3.Keys{}}
	at := versitytest.Options{Address: freeport.Address(t)}
	for _, name := range []string{"box", "links", "wide", "runs", "later"} {
		w.keys[name] = s3.Keys{AccessKeyID: "user-" + name, SecretAccessKey: "secret-of-" + name}
		at.Users = append(at.Users, w.keys[name])
	}
	c, cfg := startServers(t)
	c.operator(t, "unip.yaml", fmt.Sprintf(
		"s3: {endpoint: 'http://%s', dialect: versitygw, sts: {none: true}}\nruns: {graceSeconds: 1}\nuploads: {sweepMinutes: 0}",
		at.Address))
	c.operator(t, "accessKeyId", versitytest.AccessKey)
	c.operator(t, "secretAccessKey", versitytest.SecretKey)
	c.listens = freeport.Address(t)
	w.uploading = &uploading{cluster: c, gated: gated{process: c.startReplica(t, cfg)}}
	at.Webhook = "http://" + c.listens + "/v1/versitygw/" + webhookToken
	eventually(t, "the receiver", func() error {
		res, err := http.Get("http://" + c.listens + "/")
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	w.server = versitytest.Start(t, at)
	return w
}

// give writes a Secret with keys. Nobody tells the controller.
func (w *withoutSTS) give(t *testing.T, name string, data map[string]string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "module", Name: name}, StringData: data}
	if err := w.Create(t.Context(), secret); apierrors.IsAlreadyExists(err) {
		must(t, w.Update(t.Context(), secret))
	} else {
		must(t, err)
	}
}

// holds waits until all sessions in a Secret are of a user's keys.
func (w *withoutSTS) holds(t *testing.T, name, user string) {
	t.Helper()
	eventually(t, name+" with the keys of "+user, func() error {
		s := &corev1.Secret{}
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "module", Name: name}, s); err != nil {
			return err
		}
		for file, data := range s.Data {
			x, err := databox.ParseSession(data)
			endless := x.Expiration.IsZero() && x.SessionToken == ""
			if err != nil || x.AccessKeyID != w.keys[user].AccessKeyID || !endless {
				return fmt.Errorf("%s: %v, %w", file, x, err)
			}
		}
		return nil
	})
}

// pairs are the data of a box's Secret.
func (w *withoutSTS) pairs(all, links string) map[string]string {
	return map[string]string{
		"accessKeyId": w.keys[all].AccessKeyID, "secretAccessKey": w.keys[all].SecretAccessKey,
		"linksAccessKeyId": w.keys[links].AccessKeyID, "linksSecretAccessKey": w.keys[links].SecretAccessKey,
	}
}

func (w *withoutSTS) refuses(t *testing.T, b *platformv1.DataBox, what string) {
	t.Helper()
	eventually(t, "a refusal because of "+what, func() error {
		must(t, w.Get(t.Context(), client.ObjectKeyFromObject(b), b))
		if r := ready(b); r.Reason != platformv1.ReasonCredentialsError || !strings.Contains(r.Message, what) {
			return fmt.Errorf("%s: %s", r.Reason, r.Message)
		}
		return nil
	})
}

const everything = "s3:ListBucket s3:GetObject s3:PutObject s3:DeleteObject s3:AbortMultipartUpload"

func (w *withoutSTS) allow(t *testing.T, bucket string, rights map[string]string) {
	t.Helper()
	all := map[string][]string{}
	for user, verbs := range rights {
		all[w.keys[user].AccessKeyID] = strings.Fields(verbs)
	}
	w.server.Allow(t, bucket, all)
}

// A box gets the operator's keys where there is no STS, and only such as open no more than it should; an
// upload by them starts a run, whose stage has keys too.
func TestWithoutSTS(t *testing.T) {
	w := newWithoutSTS(t)
	own := databox.UsualBuckets.System()
	must(t, w.server.MakeBucket(t.Context(), own, minio.MakeBucketOptions{}))
	b := w.boxWith(t, "module", "data", platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{},
		Sessions: []platformv1.Session{{Use: string(databox.Calls)}, {Use: string(databox.PutLinks)}}})
	w.refuses(t, b, "the Secret data.databox.keys lacks accessKeyId")
	w.bucket = databox.UsualBuckets.Box("module", "data")
	w.server.Put(t, w.bucket, "models/there", "m")

	const secret = "data.databox.keys"
	w.give(t, secret, map[string]string{"accessKeyId": versitytest.AccessKey,
		"secretAccessKey": versitytest.SecretKey})
	w.refuses(t, b, "the installation's own key")
	w.give(t, secret, map[string]string{"accessKeyId": "nobody", "secretAccessKey": "x"})
	w.refuses(t, b, "is not known to the S3 server")
	w.allow(t, w.bucket, map[string]string{"wide": everything, "box": everything, "links": "s3:PutObject s3:GetObject"})
	w.allow(t, own, map[string]string{"wide": "s3:ListBucket", "box": "s3:GetObject"})
	w.give(t, secret, w.pairs("wide", "links"))
	w.refuses(t, b, "may list "+own)
	w.give(t, secret, w.pairs("box", "links"))
	w.refuses(t, b, "may read objects of "+w.bucket)
	w.give(t, secret, map[string]string{"accessKeyId": "user-box", "secretAccessKey": "secret-of-box",
		"linksAccessKeyId": "", "linksSecretAccessKey": ""})
	w.refuses(t, b, "lacks linksAccessKeyId")

	w.allow(t, w.bucket, map[string]string{"box": everything, "links": "s3:PutObject", "runs": everything})
	w.give(t, secret, w.pairs("box", "links"))
	w.waitFor(t, b, platformv1.ReasonReady)
	if b.Status.CredentialsExpire != nil {
		t.Errorf("keys without an end expire at %v", b.Status.CredentialsExpire)
	}
	w.holds(t, databox.Calls.Secret("data", ""), "box")
	w.holds(t, databox.PutLinks.Secret("data", ""), "links")
	w.linksCopyNothing(t)
	w.startsRuns(t)

	// A rotation is seen within seconds.
	for _, bucket := range []string{w.bucket, databox.UsualBuckets.Runs("module")} {
		w.allow(t, bucket, map[string]string{"later": everything, "links": "s3:PutObject"})
	}
	w.give(t, secret, w.pairs("later", "links"))
	w.holds(t, databox.Calls.Secret("data", ""), "later")
	w.give(t, names.RunKeys, map[string]string{"accessKeyId": "user-later", "secretAccessKey": "secret-of-later"})
	w.holds(t, names.RunLogs, "later")
	w.holds(t, w.stageSecret(t), "later")
}

// linksCopyNothing: whoever has a link to write adds a header that it does not sign, and gets nothing
// of what the box holds.
func (w *withoutSTS) linksCopyNothing(t *testing.T) {
	t.Helper()
	const loot = "users/ann/file_groups/in/loot"
	link, err := w.server.As(t, w.keys["links"]).PresignedPutObject(t.Context(), w.bucket, loot, time.Minute)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link.String(), http.NoBody)
	must(t, err)
	req.Header.Set("X-Amz-Copy-Source", "/"+w.bucket+"/models/there")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a link that copies is answered %s", res.Status)
	}
	if _, err := w.server.StatObject(t.Context(), w.bucket, loot, minio.StatObjectOptions{}); !s3.IsMissing(err) {
		t.Errorf("there is something of another file's: %v", err)
	}
}

func (w *withoutSTS) startsRuns(t *testing.T) {
	t.Helper()
	p := &runtimev1.Pipeline{}
	p.Namespace, p.Name = "module", "train"
	p.Spec = runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "x"}, {Name: "y"}},
		Stages: []runtimev1.Stage{{Name: "fit", Image: "image", Inputs: []string{"x"}, Outputs: []string{"y"},
			TimeoutSeconds: 60}},
		DefaultBox: "data", OnUpload: []runtimev1.UploadRule{{Box: "data", Prefix: "in/", Input: "x"}},
	}
	must(t, w.Create(t.Context(), p))
	condition := func() metav1.Condition {
		must(t, w.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		if c := meta.FindStatusCondition(p.Status.Conditions, "Ready"); c != nil {
			return *c
		}
		return metav1.Condition{}
	}
	eventually(t, "a pipeline without keys", func() error {
		if c := condition(); !strings.Contains(c.Message, "the Secret unip-run-keys lacks accessKeyId") {
			return fmt.Errorf("%s: %s", c.Reason, c.Message)
		}
		return nil
	})
	w.allow(t, databox.UsualBuckets.Runs("module"), map[string]string{"runs": everything})
	w.give(t, names.RunKeys, map[string]string{"accessKeyId": "user-runs", "secretAccessKey": "secret-of-runs"})
	eventually(t, "a pipeline with keys", func() error {
		if c := condition(); c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s: %s", c.Reason, c.Message)
		}
		return nil
	})
	// As whoever has a link, whose name for a file is any.
	const file = "in coming/Таблица 1+2%25 $(X).csv"
	for _, f := range []string{file, "a.csv"} {
		_, err := w.server.As(t, w.keys["links"]).PutObject(t.Context(), w.bucket, "users/ann/file_groups/in/"+f,
			strings.NewReader("1"), 1, minio.PutObjectOptions{})
		must(t, err)
	}
	w.wait(t, file, "a.csv")
	w.holds(t, w.stageSecret(t), "runs")
}

// stageSecret is that of a stage that runs.
func (w *withoutSTS) stageSecret(t *testing.T) string {
	t.Helper()
	var runs runtimev1.PipelineRunList
	must(t, w.List(t.Context(), &runs, client.InNamespace("module")))
	return names.StageSession(runs.Items[0].Name, "fit")
}
