//go:build integration

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modules"
	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	"github.com/unip-knative/unip/e2e/freeport"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// patience is how long anything may take on a busy machine.
const patience = 40 * time.Second

// cluster is a real API server with the CRD, and a real S3 server, with the controller at work
// between them.
type cluster struct {
	client.Client
	s3  *miniotest.Server
	dir string // the operator's files
	// asked are the paths of the controller's own requests to the API server.
	asked    *requests
	events   string // where the controller takes events
	s3Events string // where it takes notifications
	metrics  string // where its metrics are
	listens  string // where the next replica shall take them; "" is anywhere
	config   *rest.Config
}

// TestController tells the life of boxes and keys in order: what an operator does to the whole
// installation is seen by all of them. It needs the programs etcd and kube-apiserver in the folder
// KUBEBUILDER_ASSETS (`make test-integration` sets it).
func TestController(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	c := start(t)
	t.Run("what modules run of unip is published", c.publishesTheRelease)
	t.Run("without S3 keys a box says which Secret is missing", c.startsWithoutKeys)
	t.Run("a box gets its bucket and its sessions", c.becomesReady)
	t.Run("a Secret that was deleted or edited is made anew", c.restoresSecrets)
	t.Run("a bucket of somebody else is not touched", c.refusesForeignBuckets)
	t.Run("a dataset is seen by those with whom it is shared", c.shares)
	t.Run("a DatasetComponent is a folder of a box", c.sharesFolders)
	t.Run("an author gets a link that writes one object", c.authorsWrite)
	t.Run("what no author may write is refused", c.refusesToWrite)
	t.Run("a gateway gets links for a box's developers", c.developersWrite)
	t.Run("a module's key is made once", c.makesKeys)
	t.Run("a schedule that cannot be followed is told, and one that can is followed", c.followsSchedules)
	t.Run("metrics are for those who may read them", c.guardsMetrics)
	t.Run("a run opens no bucket of somebody else", c.runsOpenNoBucketOfOthers)
	t.Run("a stage gets sessions for what it needs", c.startsStages)
	t.Run("a run asks little of the API server", c.runAsksLittle)
	t.Run("a stage with a commit runs nothing of the user's again", c.completesCommits)
	t.Run("a stage leaves a lost node", c.leavesLostNodes)
	t.Run("a run waits for storage", c.waitsForStorage)
	t.Run("a cancelled run closes its stages", c.closesStages)
	t.Run("a cancelled run completes what is committed", c.completesAtCancellation)
	t.Run("a cancelled run waits for storage", c.closesWhenStorageIsBack)
	t.Run("a limit that was exceeded is named", c.namesLimits)
	t.Run("without the module's Role all waits, and goes on when it comes", c.waitsForTheRole)
	t.Run("what is deleted after the Role goes without it", c.goesWithoutTheRole)
	t.Run("events about what is not there cost nothing", c.forgedEventsCostNothing)
	t.Run("impossible pipelines and runs are refused by the API server, and end if they are there",
		c.refusesImpossibleRuns)
	t.Run("Secrets that nobody holds go", c.keepsNoOtherSecrets)
	t.Run("what is in a box is counted", c.countsBoxes)
	t.Run("a model among users' files is refused", c.refusesUsersFilesAsModel)
	t.Run("impossible boxes are refused by the API server", c.refusesImpossibleBoxes)
	t.Run("a bucket that went away in S3 is made again", c.remakesBuckets)
	t.Run("a deleted box takes its bucket along, if the installation says so", c.deletesBuckets)
	t.Run("a bucket goes also when its namespace is gone before it", c.deletesBucketsOfGoneNamespaces)
	t.Run("another S3 server is taken up by all boxes", c.movesToAnotherServer)
}

func start(t *testing.T) *cluster {
	t.Helper()
	c, cfg := startServers(t)
	cfg.Wrap(c.asked.count)
	r := c.startReplica(t, cfg)
	c.events, c.s3Events, c.metrics = r.events, r.s3Events, r.metrics
	return c
}

// startServers starts what the controller stands between, and gives a configuration with the rights
// of its account and no more.
func startServers(t *testing.T, ofMinIO ...string) (*cluster, *rest.Config) {
	t.Helper()
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/200-databox.yaml",
		"../../config/201-runtime.yaml"}, ErrorIfCRDPathMissing: true}
	cfg, err := env.Start()
	must(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	scheme := runtime.NewScheme()
	must(t, errors.Join(clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme),
		platformv1.AddToScheme(scheme), runtimev1.AddToScheme(scheme)))
	c := &cluster{s3: miniotest.Start(t, ofMinIO...), dir: t.TempDir(), asked: &requests{}, config: cfg}
	c.Client, err = client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	must(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names.SystemNamespace}}))
	c.apply(t, "../../config/300-rbac.yaml")
	c.operator(t, "unip.yaml", fmt.Sprintf(
		"s3: {endpoint: %q, sessionSeconds: 900, reclaimPolicy: Delete}\nruns: {graceSeconds: 600}", c.s3.Endpoint))
	c.operator(t, "webhookToken", webhookToken)
	cfg = rest.CopyConfig(cfg)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + names.SystemNamespace + ":" + names.Controller,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + names.SystemNamespace,
			"system:authenticated"},
	}
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(t.Output(), nil)))
	return c, cfg
}

// process is a running replica of the controller.
type process struct {
	events, s3Events string // where it receives
	metrics          string
	stop             context.CancelFunc
	ended            chan struct{} // closed at its end
	err              error         // why it ended
}

// startReplica starts one. It ends with the test at the latest, and without an error.
func (c *cluster) startReplica(t *testing.T, cfg *rest.Config) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{events: freeport.Address(t), s3Events: freeport.Address(t), metrics: freeport.Address(t), stop: stop,
		ended: make(chan struct{})}
	if c.listens != "" {
		p.s3Events = c.listens
	}
	go func() {
		defer close(p.ended)
		p.err = run(ctx, cfg, options{config: filepath.Join(c.dir, "unip.yaml"), s3Keys: c.dir, health: "0",
			metrics: p.metrics, leaseNamespace: names.SystemNamespace, stageImage: "stage",
			inferenceImage: inferenceImage, gatewayImage: gatewayImage,
			events: p.events, s3Events: p.s3Events, advertise: "127.0.0.1"})
	}()
	t.Cleanup(func() {
		stop()
		if <-p.ended; p.err != nil {
			t.Errorf("the controller ended with %v", p.err)
		}
	})
	return p
}

func (c *cluster) startsWithoutKeys(t *testing.T) {
	b := c.box(t, "early", "weights")
	c.waitFor(t, b, platformv1.ReasonStorageError)
	if m := ready(b).Message; !strings.Contains(m, "unip-s3") {
		t.Errorf("message %q", m)
	}
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	c.waitFor(t, b, platformv1.ReasonReady)
}

func (c *cluster) becomesReady(t *testing.T) {
	b := c.box(t, "live", "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	if b.Status.Bucket != databox.UsualBuckets.Box("live", "weights") || b.Status.ObservedGeneration != b.Generation {
		t.Errorf("status %+v", b.Status)
	}
	// This S3 server has no variables of a webhook.
	if ready := meta.FindStatusCondition(b.Status.Conditions, platformv1.ConditionReady); ready == nil ||
		!strings.Contains(ready.Message, platformv1.UploadsUntold) {
		t.Errorf("a server that tells of no uploads: %+v", ready)
	}
	if left := time.Until(b.Status.CredentialsExpire.Time); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("the credentials expire in %v", left)
	}
	ctx := t.Context()
	const file = "users/ann/file_groups/g/f"
	if server := c.open(t, "live", "weights", databox.Calls); true {
		_, err := server.PutObject(ctx, b.Status.Bucket, file, strings.NewReader("m"), 1, minio.PutObjectOptions{})
		must(t, err)
	}
	server := c.open(t, "live", "weights", databox.GetLinks)
	_, err := server.StatObject(ctx, b.Status.Bucket, file, minio.StatObjectOptions{})
	must(t, err)
	if _, err := server.StatObject(ctx, databox.UsualBuckets.Box("early", "weights"), "x",
		minio.StatObjectOptions{}); !s3.IsRefused(err) {
		t.Errorf("another box's bucket: %v", err)
	}
	_, err = server.PutObject(ctx, b.Status.Bucket, file, strings.NewReader("m"), 1, minio.PutObjectOptions{})
	if !s3.IsRefused(err) {
		t.Errorf("writing with a session that reads: %v", err)
	}
	links, err := databox.ParseSession(c.secret(t, "live",
		databox.GetLinks.Secret("weights", "")).Data[databox.SessionKey])
	must(t, err)
	if left := time.Until(links.Expiration); left < 119*time.Minute {
		t.Errorf("the session of links ends in %v", left)
	}
}

// keepsNoOtherSecrets: what a release before has left goes, and what the spec names no more;
// another box's stay.
func (c *cluster) keepsNoOtherSecrets(t *testing.T) {
	b, other := c.box(t, "less", "weights"), c.box(t, "less", "other")
	c.waitFor(t, b, platformv1.ReasonReady)
	c.waitFor(t, other, platformv1.ReasonReady)
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "less", Name: "weights.databox.write", Labels: map[string]string{boxes.SecretLabel: "weights"},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b,
			platformv1.GroupVersion.WithKind("DataBox"))},
	}}
	must(t, c.Create(t.Context(), old))
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "less", Name: "foreign",
		Labels: map[string]string{boxes.SecretLabel: "weights"}}}
	must(t, c.Create(t.Context(), foreign))
	before := b.DeepCopy()
	b.Spec.Sessions = []platformv1.Session{{Use: string(databox.Files)}}
	must(t, c.Patch(t.Context(), b, client.MergeFrom(before)))
	eventually(t, "Secrets of the box", func() error {
		var all corev1.SecretList
		must(t, c.List(t.Context(), &all, client.InNamespace("less")))
		var got []string
		for _, s := range all.Items {
			got = append(got, s.Name)
		}
		want := []string{
			"foreign", "other.databox.calls", "other.databox.get-links", databox.Model.Secret("other", "models/"),
			"weights.databox.files",
		}
		if d := cmp.Diff(want, got); d != "" {
			return errors.New(d)
		}
		return nil
	})
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), b))
	before = b.DeepCopy()
	b.Spec.Sessions = nil
	must(t, c.Patch(t.Context(), b, client.MergeFrom(before)))
	c.waitFor(t, b, platformv1.ReasonReady)
	if b.Status.CredentialsExpire != nil {
		t.Errorf("nobody holds credentials, and they expire at %v", b.Status.CredentialsExpire)
	}
}

// refusesUsersFilesAsModel: the spec is an editor's to write.
func (c *cluster) refusesUsersFilesAsModel(t *testing.T) {
	b := c.boxWith(t, "greedy", "weights", platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{},
		Sessions: []platformv1.Session{
			{Use: string(databox.Model), Object: "users/"}, {Use: string(databox.Files)},
		}})
	c.waitFor(t, b, platformv1.ReasonCredentialsError)
	if m := ready(b).Message; !strings.Contains(m, "users' files") {
		t.Errorf("message %q", m)
	}
	err := c.Get(t.Context(), client.ObjectKey{Namespace: "greedy", Name: databox.Model.Secret("weights", "users/")},
		&corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("there is a session of all users' files: %v", err)
	}
	c.open(t, "greedy", "weights", databox.Files)
}

func (c *cluster) restoresSecrets(t *testing.T) {
	b := c.box(t, "mend", "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	for how, harm := range map[string]func(*corev1.Secret) error{
		"deleted":           func(s *corev1.Secret) error { return c.Delete(t.Context(), s) },
		"emptied":           func(s *corev1.Secret) error { s.Data = nil; return c.Update(t.Context(), s) },
		"without its label": func(s *corev1.Secret) error { s.Labels = nil; return c.Update(t.Context(), s) },
		"without its owner": func(s *corev1.Secret) error { s.OwnerReferences = nil; return c.Update(t.Context(), s) },
		"with keys made up": func(s *corev1.Secret) error {
			return c.editSession(t, s, func(x *databox.Session) { x.SecretAccessKey = "made up" })
		},
		"with another endpoint": func(s *corev1.Secret) error {
			return c.editSession(t, s, func(x *databox.Session) { x.Endpoint = "http://elsewhere" })
		},
		"half through its life": func(s *corev1.Secret) error {
			s.Annotations[sessions.IssuedAnnotation] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
			return c.Update(t.Context(), s)
		},
	} {
		before := c.secret(t, "mend", databox.Calls.Secret("weights", ""))
		harmed := before.DeepCopy()
		must(t, harm(harmed))
		c.touch(t, b) // Secrets are not watched: the next look comes with any change, or in minutes
		eventually(t, "a Secret "+how, func() error {
			s := &corev1.Secret{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(before), s); err != nil {
				return err
			}
			x, err := databox.ParseSession(s.Data[databox.SessionKey])
			now, was, spoilt := string(s.Data[databox.SessionKey]), string(before.Data[databox.SessionKey]),
				string(harmed.Data[databox.SessionKey])
			if err != nil || now == was || now == spoilt || x.Endpoint != c.s3.Endpoint ||
				s.Labels[boxes.SecretLabel] != "weights" || !metav1.IsControlledBy(s, b) {
				return fmt.Errorf("%v, %v", s.ObjectMeta, err)
			}
			return nil
		})
	}
	// Nothing goes on being written once all is well.
	s := c.secret(t, "mend", databox.Calls.Secret("weights", ""))
	c.touch(t, b)
	c.touch(t, c.box(t, "mend-2", "weights"))
	if again := c.secret(t, "mend", s.Name); again.ResourceVersion != s.ResourceVersion {
		t.Error("a Secret that was well has been written again")
	}
}

func (c *cluster) makesKeys(t *testing.T) {
	c.namespace(t, "keys")
	secret := func(name string, typ corev1.SecretType, data map[string][]byte) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "keys", Name: name,
			Labels: map[string]string{names.ModuleKeyLabel: "true"}}, Type: typ, Data: data}
		must(t, c.Create(t.Context(), s))
		return s
	}
	long := strings.Repeat("k", 40)
	kept := secret("kept", names.ModuleKeyType, map[string][]byte{names.ModuleKeyData: []byte(long),
		"other": []byte("x")})
	foreign := secret("foreign", corev1.SecretTypeOpaque, nil)
	empty := secret("empty", names.ModuleKeyType, nil)
	short := secret("short", names.ModuleKeyType, map[string][]byte{names.ModuleKeyData: []byte("short"),
		"other": []byte("x")})
	for _, s := range []*corev1.Secret{empty, short} {
		eventually(t, "key of "+s.Name, func() error {
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(s), s))
			if n := len(s.Data[names.ModuleKeyData]); n != 32 {
				return fmt.Errorf("%d bytes", n)
			}
			return nil
		})
	}
	if string(empty.Data[names.ModuleKeyData]) == string(short.Data[names.ModuleKeyData]) ||
		string(short.Data["other"]) != "x" {
		t.Error("keys are not random, or something beside the key was changed")
	}
	// What is taken away later is found by a look at the module: here its RoleBinding has changed.
	emptied := short.DeepCopy()
	emptied.Data = nil
	must(t, c.Update(t.Context(), emptied))
	binding := &rbacv1.RoleBinding{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: "keys", Name: names.Controller}, binding))
	metav1.SetMetaDataLabel(&binding.ObjectMeta, "applied", "again")
	must(t, c.Update(t.Context(), binding))
	eventually(t, "another key of short", func() error {
		if s := c.secret(t, "keys", "short"); len(s.Data[names.ModuleKeyData]) != 32 ||
			string(s.Data[names.ModuleKeyData]) == string(short.Data[names.ModuleKeyData]) {
			return errors.New("there is none")
		}
		return nil
	})
	// The same manifest again, without data, as every deployment applies it; a further change shows
	// that it was looked at.
	again := empty.DeepCopy()
	again.Labels["applied"] = "again"
	must(t, c.Patch(t.Context(), again, client.MergeFrom(empty)))
	last := secret("last", names.ModuleKeyType, nil)
	eventually(t, "key of last", func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(last), last))
		if len(last.Data) == 0 {
			return errors.New("no key")
		}
		return nil
	})
	now := c.secret(t, "keys", "empty")
	if string(now.Data[names.ModuleKeyData]) != string(empty.Data[names.ModuleKeyData]) {
		t.Error("a key was changed")
	}
	if s := c.secret(t, "keys", kept.Name); string(s.Data[names.ModuleKeyData]) != long {
		t.Error("a long key was changed")
	}
	if s := c.secret(t, "keys", foreign.Name); len(s.Data) != 0 {
		t.Error("a Secret of another type got a key")
	}
}

func (c *cluster) followsSchedules(t *testing.T) {
	c.namespace(t, "scheduled")
	for name, want := range map[string]struct{ line, reason string }{"wrong": {"61 * * * *", modules.InvalidSchedule},
		"right": {"0 3 * * *", modules.Scheduled}} {
		p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "scheduled", Name: name}}
		p.Spec = runtimev1.PipelineSpec{Variables: []runtimev1.Variable{},
			Stages: []runtimev1.Stage{{Name: "only", Image: "image", TimeoutSeconds: 1}}, Schedule: want.line}
		must(t, c.Create(t.Context(), p))
		// Two reconcilers write conditions of one object.
		eventually(t, "the conditions of "+name, func() error {
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
			s := meta.FindStatusCondition(p.Status.Conditions, modules.Scheduled)
			if s == nil || s.Reason != want.reason || !meta.IsStatusConditionTrue(p.Status.Conditions, "Ready") ||
				(p.Status.Schedule == nil) != (name == "wrong") {
				return fmt.Errorf("%+v", p.Status)
			}
			return nil
		})
	}
}

func (c *cluster) refusesImpossibleBoxes(t *testing.T) {
	c.namespace(t, "impossible")
	storage := &platformv1.S3DefaultStorage{}
	ref := &platformv1.DatasetReference{DatasetComponentRef: platformv1.NamespacedName{Name: "x", Namespace: "y"}}
	for what, b := range map[string]*platformv1.DataBox{
		"neither form": {ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		"both forms": {ObjectMeta: metav1.ObjectMeta{Name: "a"},
			Spec: platformv1.DataBoxSpec{S3DefaultStorage: storage, DatasetReference: ref}},
		"a dot": {ObjectMeta: metav1.ObjectMeta{Name: "a.b"},
			Spec: platformv1.DataBoxSpec{S3DefaultStorage: storage}},
		"64 characters": {ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("a", 64)},
			Spec: platformv1.DataBoxSpec{S3DefaultStorage: storage}},
		"half a reference": {ObjectMeta: metav1.ObjectMeta{Name: "a"},
			Spec: platformv1.DataBoxSpec{
				DatasetReference: &platformv1.DatasetReference{
					DatasetComponentRef: platformv1.NamespacedName{Name: "x"}}}},
	} {
		b.Namespace = "impossible"
		if err := c.Create(t.Context(), b); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b := c.box(t, "impossible", "changed")
	changed := b.DeepCopy()
	changed.Spec = platformv1.DataBoxSpec{DatasetReference: ref}
	if err := c.Patch(t.Context(), changed, client.MergeFrom(b)); !apierrors.IsInvalid(err) {
		t.Errorf("a change between the forms: %v", err)
	}
}

func (c *cluster) movesToAnotherServer(t *testing.T) {
	early := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "early", Name: "weights"}}
	c.s3 = miniotest.Start(t)
	const moved databox.BucketNames = "moved-"
	c.operator(t, "unip.yaml", fmt.Sprintf("s3: {endpoint: %q, sessionSeconds: 900, bucketPrefix: %s}", c.s3.Endpoint,
		moved))
	eventually(t, "a session of the new server", func() error {
		s := c.secret(t, "early", databox.Calls.Secret("weights", ""))
		x, err := databox.ParseSession(s.Data[databox.SessionKey])
		if err != nil || x.Endpoint != c.s3.Endpoint || x.Bucket != moved.Box("early", "weights") {
			return fmt.Errorf("endpoint %s, bucket %s, %v", x.Endpoint, x.Bucket, err)
		}
		return nil
	})
	c.waitFor(t, early, platformv1.ReasonReady)
	// The installation now says Retain: the box goes at once, its bucket stays.
	eventually(t, "no finalizer", func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(early), early))
		if len(early.Finalizers) > 0 {
			return fmt.Errorf("finalizers %v", early.Finalizers)
		}
		return nil
	})
	must(t, c.Delete(t.Context(), early))
	c.waitGone(t, early)
	if ok, err := c.s3.BucketExists(t.Context(), moved.Box("early", "weights")); err != nil || !ok {
		t.Errorf("the bucket exists %v, %v", ok, err)
	}
}
