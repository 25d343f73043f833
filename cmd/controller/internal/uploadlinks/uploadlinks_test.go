//go:build integration

package uploadlinks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/s3/check/weaktest"
	"github.com/unip-knative/unip/eventing/databox/versitytest"
)

func source(t *testing.T, endpoint, more string) *settings.Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"unip.yaml": fmt.Sprintf("s3: {endpoint: %q, %s}", endpoint, more),
		"accessKeyId": miniotest.AccessKey, "secretAccessKey": miniotest.SecretKey} {
		controllertest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	src, err := settings.Open(filepath.Join(dir, "unip.yaml"), dir)
	controllertest.Must(t, err)
	return src
}

// While the server lets an unsigned copy through, nobody holds what would sign an upload link, and the
// box says so. It has all else, and links again when the server is another one.
func TestNoUploadLinksOnAWeakServer(t *testing.T) {
	t.Parallel()
	_, c, server, _ := controllertest.Servers(t)
	keys := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
	strong, leaky := source(t, server.Endpoint, ""), source(t, weaktest.Copies(t, server.Endpoint, keys, "us-east-1"), "")

	bucket, asked := server.Bucket(t), 0
	guard := &uploadlinks.Guard{Transport: http.DefaultTransport,
		Bucket: func(context.Context) (string, error) { asked++; return bucket, nil }}
	b := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "files"},
		Spec: platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{},
			Sessions: []platformv1.Session{{Use: "files"}, {Use: "put-links"}, {Use: "get-links"}}}}
	controllertest.Must(t, c.Create(t.Context(), b))
	// pass is one over the box; it gives what stands in the Secret of links to write, and the condition.
	pass := func(src *settings.Source) (databox.Session, *metav1.Condition, error) {
		t.Helper()
		r := &boxes.Reconciler{Client: c, Live: c, Events: events.NewFakeRecorder(100), Settings: src,
			Transport: http.DefaultTransport, UploadLinks: guard}
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)})
		controllertest.Must(t, err)
		now := &platformv1.DataBox{}
		controllertest.Must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), now))
		var s databox.Session
		for _, use := range []databox.Access{databox.Files, databox.GetLinks, databox.PutLinks} {
			secret := &corev1.Secret{}
			name := client.ObjectKey{Namespace: "default", Name: use.Secret("files", "")}
			controllertest.Must(t, c.Get(t.Context(), name, secret))
			if s, err = databox.ParseSession(secret.Data[databox.SessionKey]); err != nil && use != databox.PutLinks {
				t.Errorf("%s: %v", use, err)
			}
		}
		return s, meta.FindStatusCondition(now.Status.Conditions, platformv1.ConditionReady), err
	}
	for range 2 { // the second one finds all as it should be
		s, ready, err := pass(leaky)
		held, ok := errors.AsType[*databox.WithheldError](err)
		if !ok || !strings.Contains(held.Reason, "upload link: copies") ||
			s.SecretAccessKey != "" || s.SessionToken != "" {
			t.Errorf("%v: %v", s, err)
		}
		if ready.Status != metav1.ConditionTrue || !strings.Contains(ready.Message, platformv1.NoUploadLinks) {
			t.Errorf("%+v", ready)
		}
	}
	if asked != 1 {
		t.Errorf("the server was tried %d times", asked)
	}
	s, ready, err := pass(strong)
	if err != nil || s.SecretAccessKey == "" || strings.Contains(ready.Message, platformv1.NoUploadLinks) {
		t.Errorf("%v %v %+v", s, err, ready)
	}
	for o := range server.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("%s is left", o.Key)
	}
}

// Without STS it counts what a box's own pair may do, and not what the installation's keys may, on a
// server that obeys x-amz-copy-source of whoever has signed a link.
func TestPairsThatSignLinks(t *testing.T) {
	t.Parallel()
	const bucket = "unip-box"
	rights := map[string]string{"writes": "s3:PutObject", "reads-too": "s3:PutObject s3:GetObject",
		"lists": "s3:ListBucket"}
	users := []s3.Keys{{AccessKeyID: versitytest.AccessKey, SecretAccessKey: versitytest.SecretKey}}
	allowed := map[string][]string{}
	for name, verbs := range rights {
		users = append(users, s3.Keys{AccessKeyID: name, SecretAccessKey: "secret-of-" + name})
		allowed[name] = strings.Fields(verbs)
	}
	server := versitytest.Start(t, versitytest.Options{Users: users[1:]})
	controllertest.Must(t, server.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}))
	server.Allow(t, bucket, allowed)
	src := source(t, weaktest.CopiesBySigner(t, server.Endpoint, "us-east-1", users...), "sts: {none: true}")
	store, err := src.Open(http.DefaultTransport)
	controllertest.Must(t, err)
	guard := &uploadlinks.Guard{Transport: http.DefaultTransport,
		Bucket: func(context.Context) (string, error) { return "", errors.New("it is tried in the box's bucket") }}
	want := map[string]string{"writes": "", "reads-too": "upload link: copies", "lists": "may not write into " + bucket,
		versitytest.AccessKey: "upload link: copies"}
	for _, keys := range users {
		reason, err := guard.Closed(t.Context(), store, uploadlinks.Signer{Keys: keys, Bucket: bucket})
		controllertest.Must(t, err)
		if why := want[keys.AccessKeyID]; why == "" && reason != "" || !strings.Contains(reason, why) {
			t.Errorf("of %s: closed %q, want %q", keys.AccessKeyID, reason, why)
		}
	}
	for o := range server.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("%s is left", o.Key)
	}
}
