// Package sessions keeps Secrets with limited S3 sessions: those of boxes, of stages, of the
// readers of logs. There is one way to do so. The Secret is read live, what lies in it is compared
// with what shall be, and it is made anew when it differs or when nearly half of its life is over.
//
// Where the S3 server gives no sessions, the operator's keys of the box stand in their place
// (static.go).
//
// What it never does: write a key of the installation into a Secret, keep a Secret's content, or renew
// what is well.
package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	// IssuedAnnotation on a Secret is when its sessions were made (RFC 3339).
	IssuedAnnotation = "knative.unified-platform.cs.hse.ru/issued"
	// PolicyAnnotation on a Secret is a hash of what its sessions may do.
	PolicyAnnotation = "knative.unified-platform.cs.hse.ru/policy"

	fieldOwner = client.FieldOwner(names.Controller)
)

var (
	// ErrRefused: S3 made a session and then does not take it.
	ErrRefused = errors.New("S3 refuses the session it has just made")
	// ErrSecret: the Secret could not be written, for a reason in the Secret itself.
	ErrSecret = errors.New("the credentials Secret cannot be written")
)

// Owner is the object that a Secret goes with.
type Owner struct {
	client.Object
	Kind schema.GroupVersionKind
}

// Session is one that shall be: what it may do, and what its holder is told beside the keys.
type Session struct {
	Policy string
	Told   databox.Session // without keys and end
	// Pair are the keys in its place where S3 gives no sessions.
	Pair Pair
}

// Secret is one that shall be.
type Secret struct {
	Name string
	// Component is the label app.kubernetes.io/component; Labels are those beside the usual ones.
	Component string
	Labels    map[string]string
	Owner     Owner
	Shared    bool               // it belongs to several owners alike, of whom none controls it
	Files     map[string]Session // by the Secret's keys
	Life      time.Duration
	// Tried says that S3 is asked, each time, whether it takes the sessions.
	Tried bool
	// Before is asked before a session is made; with an error none is.
	Before func(context.Context) error
}

// Held is what lies in a Secret.
type Held struct {
	Expires, Due time.Time
	// Renewed is why it was made anew just now; empty when it was well.
	Renewed string
}

// Keeper keeps Secrets.
type Keeper struct {
	Client client.Client
	Live   client.Reader // reads from the API server: Secrets are in no cache
	Store  settings.Store
}

// Ensure sees to it that the Secret holds sessions that are right and not yet due. An error is the
// API server's, S3's, ErrRefused, ErrSecret, ErrKeys, s3.ErrNoSTS, or that of Before.
func (k Keeper) Ensure(ctx context.Context, want Secret, now time.Time) (Held, error) {
	found := &corev1.Secret{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: want.Owner.GetNamespace(), Name: want.Name}, found)
	if err != nil && !apierrors.IsNotFound(err) {
		return Held{}, fmt.Errorf("reading the credentials Secret: %w", err)
	}
	if err == nil && !ours(found, want) {
		return Held{}, notOurs(want, nil)
	}
	if k.Store.Config.S3.STS.None {
		return k.static(ctx, found, want, now)
	}
	why := "there was no Secret"
	if err == nil {
		var held Held
		if held, why = judge(found, want, now); why == "" {
			ok, err := k.taken(ctx, found, want)
			if err != nil || ok {
				return held, err
			}
			why = "S3 does not take the session any more"
		}
	}
	return k.renew(ctx, found.OwnerReferences, want, now, why)
}

// ours reports a Secret that was made here, whatever somebody has done to it since; translate refuses
// this label on what manifests bring along. Another one is not taken over: it would lose its content,
// and go with its new owner.
func ours(secret *corev1.Secret, want Secret) bool {
	return secret.Labels[label.ManagedBy] == label.Unip || metav1.IsControlledBy(secret, want.Owner)
}

func notOurs(want Secret, err error) error {
	if err == nil {
		return fmt.Errorf("%w: delete Secret %s, which is of somebody else", ErrSecret, want.Name)
	}
	return fmt.Errorf("%w: delete Secret %s, which is of somebody else: %w", ErrSecret, want.Name, err)
}

// labels are all those of a Secret.
func (w Secret) labels() map[string]string {
	all := map[string]string{}
	maps.Copy(all, w.Labels)
	maps.Copy(all, map[string]string{
		label.ManagedBy: label.Unip, label.Component: w.Component, label.PartOf: w.Owner.GetNamespace(),
	})
	return all
}

// judge looks at a Secret without asking S3: when its sessions end and are due, or why they must be
// made anew.
func judge(secret *corev1.Secret, want Secret, now time.Time) (Held, string) {
	var h Held
	for file, w := range want.Files {
		s, err := databox.ParseSession(secret.Data[file])
		if err != nil {
			return Held{}, "the Secret held no session"
		}
		if !toldAlike(s, w.Told) {
			return Held{}, "the session was of another S3 server or bucket"
		}
		if h.Expires.IsZero() || s.Expiration.Before(h.Expires) {
			h.Expires = s.Expiration
		}
	}
	if !stands(secret, want) {
		return Held{}, "the Secret was changed by somebody"
	}
	if secret.Annotations[PolicyAnnotation] != hash(want) {
		return Held{}, "the session was for other rights"
	}
	issued, err := time.Parse(time.RFC3339, secret.Annotations[IssuedAnnotation])
	if err != nil || issued.After(now.Add(time.Minute)) || !h.Expires.After(issued) {
		return Held{}, "the Secret did not say when it was made"
	}
	h.Due = due(want, issued, h.Expires)
	if !now.Before(h.Due) {
		return Held{}, "half of its life has passed"
	}
	return h, ""
}

// stands reports a Secret that has the labels and the owner that it shall have.
func stands(secret *corev1.Secret, want Secret) bool {
	for label, v := range want.labels() {
		if secret.Labels[label] != v {
			return false
		}
	}
	if !want.Shared {
		return metav1.IsControlledBy(secret, want.Owner)
	}
	return slices.ContainsFunc(secret.OwnerReferences, func(o metav1.OwnerReference) bool {
		return o.UID == want.Owner.GetUID()
	})
}

func toldAlike(a, b databox.Session) bool {
	return a.Endpoint == b.Endpoint && a.PublicEndpoint == b.PublicEndpoint && a.Region == b.Region &&
		a.Bucket == b.Bucket && a.Prefix == b.Prefix && (a.Usage == nil) == (b.Usage == nil) &&
		(a.Usage == nil || *a.Usage == *b.Usage)
}

// hash is that of what the sessions may do, in the order of their files.
func hash(want Secret) string {
	var all []string
	for _, file := range slices.Sorted(maps.Keys(want.Files)) {
		all = append(all, want.Files[file].Policy)
	}
	return names.Hash(all...)
}

// due is when a Secret is renewed: at 40 to 45 % of its life, always the same for one Secret and
// different between them, so that the sessions of an installation are not all renewed in one moment.
// What is left to half of it is for the new session's way into the pods.
func due(want Secret, issued, expires time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(want.Owner.GetUID()) + want.Name)) // never fails
	half := expires.Sub(issued) / 2
	return issued.Add(half - half/10 - half/10*time.Duration(h.Sum32()%1000)/1000)
}

// taken asks S3 whether it knows the sessions of a Secret, if that is wanted.
func (k Keeper) taken(ctx context.Context, secret *corev1.Secret, want Secret) (bool, error) {
	if !want.Tried {
		return true, nil
	}
	for file := range want.Files {
		s, err := databox.ParseSession(secret.Data[file])
		if err != nil {
			return false, err
		}
		if ok, err := k.takes(ctx, s); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// takes asks S3 whether it knows a session. No session may read the tags of a bucket, so the answer
// is a no in each case: to one that is known because of its rights, to another one because of its
// keys. The error is S3's silence.
func (k Keeper) takes(ctx context.Context, session databox.Session) (bool, error) {
	keys := credentials.NewStaticV4(session.AccessKeyID, session.SecretAccessKey, session.SessionToken)
	c, err := k.Store.ClientWith(keys, k.Store.Transport)
	if err != nil {
		return false, err
	}
	_, err = c.GetBucketTagging(ctx, session.Bucket)
	switch answer := s3.AnswerOf(err); {
	case answer == s3.Denied:
		return true, nil
	case err == nil: // it is of an earlier release, or of another maker
		return false, nil
	case s3.IsRefused(err), answer == s3.BadRequest: // AWS's answer to a dead token
		return false, nil
	default:
		return false, fmt.Errorf("trying a session at S3: %w", err)
	}
}

// renew makes the sessions, tries them and writes them into the Secret.
func (k Keeper) renew(
	ctx context.Context, owners []metav1.OwnerReference, want Secret, now time.Time, why string,
) (Held, error) {
	if want.Before != nil {
		if err := want.Before(ctx); err != nil {
			return Held{}, err
		}
	}
	held, data := Held{Renewed: why}, map[string][]byte{}
	for file, w := range want.Files {
		s, err := k.make(ctx, w, want.Life)
		if err != nil {
			return Held{}, err
		}
		if want.Tried {
			ok, err := k.takes(ctx, s)
			if err != nil {
				return Held{}, err
			}
			if !ok { // not written: the next pass would throw it away, and so on for ever
				return Held{}, ErrRefused
			}
		}
		if data[file], err = json.Marshal(s); err != nil {
			return Held{}, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		if held.Expires.IsZero() || s.Expiration.Before(held.Expires) {
			held.Expires = s.Expiration
		}
	}
	held.Due = due(want, now, held.Expires)
	return held, k.write(ctx, owners, want, data, now)
}

func (k Keeper) make(ctx context.Context, w Session, life time.Duration) (databox.Session, error) {
	got, err := k.Store.STS().Session(ctx, &http.Client{Transport: k.Store.Transport}, w.Policy, life)
	if err != nil {
		return databox.Session{}, err
	}
	s := w.Told
	s.AccessKeyID, s.SecretAccessKey, s.SessionToken = got.AccessKeyID, got.SecretAccessKey, got.SessionToken
	s.Expiration = got.Expiration
	return s, nil
}

// write applies the Secret.
func (k Keeper) write(
	ctx context.Context, owners []metav1.OwnerReference, want Secret, data map[string][]byte, now time.Time,
) error {
	own := metav1ac.OwnerReference().WithAPIVersion(want.Owner.Kind.GroupVersion().String()).
		WithKind(want.Owner.Kind.Kind).WithName(want.Owner.GetName()).WithUID(want.Owner.GetUID())
	refs := []*metav1ac.OwnerReferenceApplyConfiguration{own}
	if want.Shared {
		for _, o := range owners {
			if o.UID != want.Owner.GetUID() {
				refs = append(refs, metav1ac.OwnerReference().WithAPIVersion(o.APIVersion).WithKind(o.Kind).
					WithName(o.Name).WithUID(o.UID))
			}
		}
	} else {
		own.WithController(true).WithBlockOwnerDeletion(true)
	}
	ac := corev1ac.Secret(want.Name, want.Owner.GetNamespace()).
		WithLabels(want.labels()).
		WithAnnotations(map[string]string{
			IssuedAnnotation: now.UTC().Format(time.RFC3339), PolicyAnnotation: hash(want),
		}).
		WithOwnerReferences(refs...).
		WithType(corev1.SecretTypeOpaque).
		WithData(data)
	err := k.Client.Apply(ctx, ac, client.ForceOwnership, fieldOwner)
	if apierrors.IsInvalid(err) {
		return notOurs(want, err)
	}
	if err != nil {
		return fmt.Errorf("writing the credentials Secret: %w", err)
	}
	return nil
}

// Drop deletes the owner's Secrets with a label but those that are named. Only those that the owner
// controls.
func (k Keeper) Drop(ctx context.Context, owner Owner, label, value string, but ...string) error {
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	err := k.Live.List(ctx, found, client.InNamespace(owner.GetNamespace()), client.MatchingLabels{label: value})
	if err != nil {
		return fmt.Errorf("listing the credentials Secrets: %w", err)
	}
	var errs []error
	for i := range found.Items {
		s := &found.Items[i]
		if !metav1.IsControlledBy(s, owner) || slices.Contains(but, s.Name) {
			continue
		}
		if err := k.Client.Delete(ctx, s, client.Preconditions{UID: &s.UID}); client.IgnoreNotFound(err) != nil {
			errs = append(errs, fmt.Errorf("deleting a credentials Secret: %w", err))
		}
	}
	return errors.Join(errs...)
}
