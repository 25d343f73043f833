package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// Module is one module on the cluster; its namespace is its name.
type Module struct {
	*Cluster
	Namespace string
}

// Module names a module. Nothing is applied yet.
func (c *Cluster) Module(namespace string) *Module { return &Module{Cluster: c, Namespace: namespace} }

// Apply translates the manifests (a file or a folder) and applies the result with ko, as the README
// shows it.
func (m *Module) Apply(ctx context.Context, path string) error {
	objects, err := m.Translate(ctx, path)
	if err != nil {
		return err
	}
	return Await(ctx, 3*time.Minute, "applying to "+m.Namespace, func(ctx context.Context) error {
		_, err := m.Run(ctx, objects, os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f", "-")
		return UnlessWebhook(err)
	})
}

// ApplyText applies manifests that are in no file.
func (m *Module) ApplyText(ctx context.Context, manifests string) error {
	dir, err := os.MkdirTemp("", "unip-e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(manifests), 0o600); err != nil {
		return err
	}
	return m.Apply(ctx, dir)
}

// Begin brings a module onto the cluster; what was left of one of its name goes first. NAMESPACE in
// the manifests stands for the namespace. End takes the module away, also when ctx has ended; there
// is none after an error.
func (c *Cluster) Begin(ctx context.Context, namespace, manifests string) (m *Module, end func() error, err error) {
	m = c.Module(namespace)
	if err := m.Delete(ctx); err != nil {
		return nil, nil, err
	}
	err = m.ApplyText(ctx, strings.ReplaceAll(manifests, "NAMESPACE", namespace))
	if err == nil {
		err = m.AwaitReady(ctx, 2*time.Minute)
	}
	end = func() error { return m.Delete(context.WithoutCancel(ctx)) }
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return m, end, nil
}

// Translate runs `unip translate` on the manifests, with the installation's own unip.yaml.
func (m *Module) Translate(ctx context.Context, path string) ([]byte, error) {
	var installed corev1.ConfigMap
	err := m.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Config}, &installed)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "unip-e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	config, text := filepath.Join(dir, names.ConfigFile), installed.Data[names.ConfigFile]
	if m.site != "" {
		text += "\nhost: http://" + m.site + "\n"
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	unip := filepath.Join(m.Root, "bin", "unip")
	return m.Run(ctx, nil, unip, "translate", "--images=ko", "--config", config, "-f", path)
}

// AwaitReady waits until every box, Knative Service, Broker, Trigger and Pipeline of the module is
// ready. A Service that has failed for good ends the wait at once; its error says why.
func (m *Module) AwaitReady(ctx context.Context, timeout time.Duration) error {
	err := Await(ctx, timeout, "module "+m.Namespace+" is not ready", func(ctx context.Context) error {
		return errors.Join(m.boxesReady(ctx), m.servicesReady(ctx), m.eventingReady(ctx))
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, m.Diagnose(context.WithoutCancel(ctx)))
	}
	return nil
}

func (m *Module) boxesReady(ctx context.Context) error {
	var boxes platformv1.DataBoxList
	if err := m.List(ctx, &boxes, client.InNamespace(m.Namespace)); err != nil {
		return err
	}
	var errs []error
	for _, b := range boxes.Items {
		if !ready(b.Status.Conditions) {
			errs = append(errs, fmt.Errorf("DataBox %s is not ready", b.Name))
		}
	}
	return errors.Join(errs...)
}

func ready(conditions []metav1.Condition) bool {
	for _, c := range conditions {
		if c.Type == platformv1.ConditionReady {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

func (m *Module) servicesReady(ctx context.Context) error {
	var services servingv1.ServiceList
	if err := m.List(ctx, &services, client.InNamespace(m.Namespace)); err != nil {
		return err
	}
	var errs []error
	for i := range services.Items {
		s := &services.Items[i]
		if s.IsReady() {
			continue
		}
		c := s.Status.GetCondition(servingv1.ServiceConditionReady)
		if c == nil || s.Status.ObservedGeneration != s.Generation {
			errs = append(errs, fmt.Errorf("service %s has no status yet", s.Name))
			continue
		}
		err := fmt.Errorf("service %s: %s %s %s", s.Name, c.Status, c.Reason, c.Message)
		if c.IsFalse() {
			err = &FinalError{err}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Replicas is how many pods a Knative Service's newest revision wants: 0 when it sleeps. A pod that
// is going away (Knative gives it 30 s) does not count.
func (m *Module) Replicas(ctx context.Context, service string) (int, error) {
	var s servingv1.Service
	if err := m.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: service}, &s); err != nil {
		return 0, err
	}
	var pods corev1.PodList
	err := m.List(ctx, &pods, client.InNamespace(m.Namespace),
		client.MatchingLabels{"serving.knative.dev/service": service})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			n++
		}
	}
	return n, nil
}

// AwaitZero waits until no pod of the services runs (pods on their way out do not count).
func (m *Module) AwaitZero(ctx context.Context, timeout time.Duration, services ...string) error {
	return Await(ctx, timeout, "scaling to zero", func(ctx context.Context) error {
		for _, s := range services {
			if n, err := m.Replicas(ctx, s); err != nil || n > 0 {
				return errors.Join(err, fmt.Errorf("%s has %d pods", s, n))
			}
		}
		return nil
	})
}

// AwaitAsleep waits until all services are at zero (pods on their way out do not count).
func (m *Module) AwaitAsleep(ctx context.Context, timeout time.Duration) error {
	var all servingv1.ServiceList
	if err := m.List(ctx, &all, client.InNamespace(m.Namespace)); err != nil {
		return err
	}
	var services []string
	for _, s := range all.Items {
		services = append(services, s.Name)
	}
	return m.AwaitZero(ctx, timeout, services...)
}

// AwaitGone waits until not even a pod on its way out is left, so that the next call is a cold
// start with nothing beside it.
func (m *Module) AwaitGone(ctx context.Context, timeout time.Duration) error {
	return Await(ctx, timeout, "pods going away", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := m.List(ctx, &pods, client.InNamespace(m.Namespace),
			client.HasLabels{"serving.knative.dev/service"}); err != nil {
			return err
		}
		var errs []error
		for _, p := range pods.Items {
			left := fmt.Errorf("pod %s is left", p.Name)
			if p.DeletionTimestamp != nil {
				left = fmt.Errorf("pod %s was to be gone at %s", p.Name, p.DeletionTimestamp.Format(time.TimeOnly))
			}
			for _, s := range p.Status.ContainerStatuses {
				if s.State.Running != nil {
					left = fmt.Errorf("%w, its container %s runs", left, s.Name)
				}
			}
			errs = append(errs, left)
		}
		return errors.Join(errs...)
	})
}

// Bucket opens a box with the installation's own keys, as an operator does.
func (m *Module) Bucket(ctx context.Context, box string) (*minio.Client, databox.Session, error) {
	var b platformv1.DataBox
	var keys corev1.Secret
	installed, err := m.Installation(ctx)
	err = errors.Join(err,
		m.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: box}, &b),
		m.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: "unip-s3"}, &keys))
	if err == nil && b.Status.Bucket == "" {
		err = fmt.Errorf("box %s has no bucket yet", box)
	}
	if err != nil {
		return nil, databox.Session{}, err
	}
	s := databox.Session{
		Endpoint: installed.S3.Endpoint, PublicEndpoint: installed.S3.PublicEndpoint, Region: installed.S3.Region,
		Bucket:      b.Status.Bucket,
		AccessKeyID: string(keys.Data["accessKeyId"]), SecretAccessKey: string(keys.Data["secretAccessKey"]),
	}
	c, err := Open(s)
	return c, s, err
}

// Box opens a box with the session of a use that the controller put into its Secret; object is the
// model's, else empty.
func (m *Module) Box(ctx context.Context, box string, use databox.Access, object string) (*minio.Client,
	databox.Session, error) {
	var secret corev1.Secret
	if err := m.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: use.Secret(box, object)}, &secret); err != nil {
		return nil, databox.Session{}, err
	}
	s, err := databox.ParseSession(secret.Data[databox.SessionKey])
	if err != nil {
		return nil, s, err
	}
	c, err := Open(s)
	return c, s, err
}

// Open makes an S3 client of a session, for the storage's public endpoint.
func Open(s databox.Session) (*minio.Client, error) {
	secure := strings.HasPrefix(s.PublicEndpoint, "https://")
	host := strings.TrimPrefix(strings.TrimPrefix(s.PublicEndpoint, "https://"), "http://")
	return minio.New(strings.TrimSuffix(host, "/"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, s.SessionToken), Secure: secure,
		Region: s.Region,
	})
}

// Put writes an object of the developer's area of a box.
func (m *Module) Put(ctx context.Context, box, key string, data []byte) error {
	c, s, err := m.Bucket(ctx, box)
	if err != nil {
		return fmt.Errorf("opening box %s: %w", box, err)
	}
	_, err = c.PutObject(ctx, s.Bucket, key, strings.NewReader(string(data)), int64(len(data)),
		minio.PutObjectOptions{})
	return err
}

// starting are the pods of Services that are neither ready nor on their way out.
func (m *Module) starting(ctx context.Context) error {
	var pods corev1.PodList
	if err := m.List(ctx, &pods, client.InNamespace(m.Namespace),
		client.HasLabels{"serving.knative.dev/service"}); err != nil {
		return err
	}
	for _, p := range pods.Items {
		isReady := slices.ContainsFunc(p.Status.Conditions,
			func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
		if p.DeletionTimestamp == nil && !isReady {
			return fmt.Errorf("pod %s is not ready", p.Name)
		}
	}
	return nil
}

// Delete deletes the module and waits until its namespace is gone. Services go first: while pods
// are on their way out, Kubernetes looks at a namespace again only after half of their grace
// period, which is the calls' timeout.
//
// A container whose end comes in its first moments does not hear the signal: the first process of a
// container has no handler then, and the kernel drops signals for it that have none. Knative's
// queue-proxy in such a pod goes on for the whole grace period, 300 or 600 s. So pods that start
// are given some seconds to be ready, and what is left after a minute is told, and killed.
func (m *Module) Delete(ctx context.Context) error {
	_ = Await(ctx, 15*time.Second, "pods that start", m.starting) // some never do
	if _, err := m.Kubectl(ctx, "-n", m.Namespace, "delete", "ksvc", "--all", "--ignore-not-found"); err != nil {
		return err
	}
	if err := m.AwaitGone(ctx, time.Minute); err != nil { // half a minute as a rule
		fmt.Fprintf(os.Stderr, "%s: %v\n", m.Namespace, err)
		if _, err := m.Kubectl(ctx, "-n", m.Namespace, "delete", "pods", "--selector=serving.knative.dev/service",
			"--grace-period=0", "--force", "--ignore-not-found"); err != nil {
			return err
		}
		if err := m.AwaitGone(ctx, time.Minute); err != nil {
			return err
		}
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: m.Namespace}}
	if err := m.Cluster.Delete(ctx, ns); client.IgnoreNotFound(err) != nil {
		return err
	}
	return Await(ctx, 3*time.Minute, "deleting "+m.Namespace, func(ctx context.Context) error {
		err := m.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("namespace is %s: %v", ns.Status.Phase, ns.Status.Conditions)
		}
		return err
	})
}
