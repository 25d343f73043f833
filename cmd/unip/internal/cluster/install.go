package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/unip-knative/unip/eventing/label"
)

// oldestKubernetes is the first that has all the kinds of an installation: ValidatingAdmissionPolicies.
const oldestKubernetes = "1.30.0"

// CanInstall looks whether a cluster has what an installation stands on, and whether the caller may
// write its objects. It tells of each thing, and changes nothing.
func (c *Cluster) CanInstall(ctx context.Context, objects []*Object, tell func(Finding)) bool {
	fine := true
	check := checker(func(f Finding) {
		fine = fine && f.OK
		tell(f)
	})
	if !c.examineGround(ctx, check) {
		return false
	}
	check("Kubernetes", "upgrade the cluster", func() (string, error) {
		v, err := c.version.ServerVersion()
		if err != nil {
			return "", err
		}
		now, err := version.ParseGeneric(v.GitVersion)
		if err == nil && now.LessThan(version.MustParseGeneric(oldestKubernetes)) {
			err = fmt.Errorf("the API server is of %s, and unip needs %s or later", v.GitVersion, oldestKubernetes)
		}
		return oldestKubernetes + " or later", err
	})
	check("rights", "install as somebody with the ClusterRole cluster-admin", func() (string, error) {
		return "you may write all objects of the installation", c.mayWrite(ctx, objects)
	})
	return fine
}

// mayWrite asks the API server for each kind of object and each namespace.
func (c *Cluster) mayWrite(ctx context.Context, objects []*Object) error {
	var missing []string
	asked := map[string]bool{}
	for _, o := range objects {
		k := o.GroupVersionKind()
		mapping, err := c.RESTMapper().RESTMapping(k.GroupKind(), k.Version)
		if err != nil {
			return fmt.Errorf("%s: %w", Name(o), err)
		}
		for _, verb := range []string{"create", "patch"} {
			what := map[string]any{"group": k.Group, "resource": mapping.Resource.Resource, "verb": verb,
				"namespace": o.GetNamespace()}
			if asked[fmt.Sprint(what)] {
				continue
			}
			asked[fmt.Sprint(what)] = true
			review := &Object{Object: map[string]any{"spec": map[string]any{"resourceAttributes": what}}}
			review.SetGroupVersionKind(schema.GroupVersionKind{Group: "authorization.k8s.io", Version: "v1",
				Kind: "SelfSubjectAccessReview"})
			if err := c.Create(ctx, review); err != nil {
				return fmt.Errorf("asking for your rights: %w", err)
			}
			name := mapping.Resource.GroupResource().String()
			if may, _, _ := unstructured.NestedBool(review.Object, "status", "allowed"); !may &&
				!slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("you may not write %s", strings.Join(missing, ", "))
	}
	return nil
}

// Install writes the objects of an installation, or with dryRun only says what would come of it. They
// are unip's own, so what others have changed of them is set again; but how many replicas there are
// is the operator's. A CRD of a later release stays: an older controller bears it, and fields
// that only the later one knows would be lost with it.
func (c *Cluster) Install(ctx context.Context, objects []*Object, dryRun bool, tell func(Result)) error {
	for _, o := range objects {
		before, err := c.get(ctx, o)
		if err != nil {
			return err
		}
		if before == nil && dryRun { // its namespace may not be there either
			tell(Result{Object: Name(o), Result: "created"})
			continue
		}
		if before != nil && o.GroupVersionKind() == crdKind && later(before, o) {
			tell(Result{Object: Name(o), Result: "kept", Reason: "it is of " + before.GetLabels()[label.Version]})
			continue
		}
		after, err := c.apply(ctx, withReplicas(o, before), true, dryRun)
		if err != nil {
			return err
		}
		r := Result{Object: Name(o), Result: "created"}
		if before != nil {
			difference, err := compare(r.Object, before, after)
			if err != nil {
				return err
			}
			if r.Result = "configured"; difference == "" {
				r.Result = "unchanged"
			}
		}
		tell(r)
	}
	return nil
}

// later reports that an object there is of a later release than another one. What has no version is
// of a time before there were releases.
func later(there, than *Object) bool {
	a, err := version.ParseSemantic(there.GetLabels()[label.Version])
	if err != nil {
		return false
	}
	b, err := version.ParseSemantic(than.GetLabels()[label.Version])
	return err == nil && b.LessThan(a)
}

// withReplicas is a Deployment with the replicas that it has.
func withReplicas(o, before *Object) *Object {
	if before == nil || o.GetKind() != "Deployment" {
		return o
	}
	if n, ok, _ := unstructured.NestedInt64(before.Object, "spec", "replicas"); ok {
		o = o.DeepCopy()
		_ = unstructured.SetNestedField(o.Object, n, "spec", "replicas") // the manifest has spec
	}
	return o
}

// AwaitInstalled waits until the CRDs are served and the Deployments have only pods of theirs that
// run, and tells of each. At the end of the context the error is an ErrNotReady with the reasons.
func (c *Cluster) AwaitInstalled(ctx context.Context, objects []*Object, tell func(object, news string)) error {
	waiting := slices.DeleteFunc(slices.Clone(objects), func(o *Object) bool {
		return o.GroupVersionKind() != crdKind && o.GetKind() != "Deployment"
	})
	errs := map[string]error{}
	err := poll(ctx, func() (bool, error) {
		for _, o := range slices.Clone(waiting) {
			live, err := c.get(ctx, o)
			if err != nil {
				return false, err
			}
			if errs[Name(o)] = installed(live); errs[Name(o)] == nil {
				tell(Name(o), "ready")
				waiting = slices.DeleteFunc(waiting, func(x *Object) bool { return x == o })
			}
		}
		return len(waiting) == 0, nil
	})
	if err == nil || ctx.Err() == nil {
		return err
	}
	all := []error{ErrNotReady}
	for _, o := range waiting {
		all = append(all, fmt.Errorf("%s: %w", Name(o), errs[Name(o)]))
	}
	return errors.Join(all...)
}

func installed(live *Object) error {
	if live == nil {
		return errors.New("it is gone")
	}
	if live.GroupVersionKind() == crdKind {
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, x := range conditions {
			if c, _ := x.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
				return nil
			}
		}
		return errors.New("the API server does not serve it yet")
	}
	number := func(path ...string) int64 {
		n, _, _ := unstructured.NestedInt64(live.Object, path...)
		return n
	}
	wanted := number("spec", "replicas")
	switch {
	case number("status", "observedGeneration") < live.GetGeneration():
		return errors.New(unseen)
	case number("status", "updatedReplicas") < wanted:
		return fmt.Errorf("%d of %d pods are of this version", number("status", "updatedReplicas"), wanted)
	case number("status", "replicas") > wanted:
		return errors.New("pods of the version before still run")
	case number("status", "availableReplicas") < wanted:
		return fmt.Errorf("%d of %d pods are available", number("status", "availableReplicas"), wanted)
	}
	return nil
}

// S3Keys looks whether the installation has the keys of the S3 server that it needs.
func (c *Cluster) S3Keys(ctx context.Context) error {
	conf, _, err := c.InstalledConfig(ctx)
	if err != nil {
		return err
	}
	_, err = c.checkS3Keys(ctx, conf.S3.STS.None)
	return err
}
