package boxes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

var (
	// errSessionRefused: S3 made a session and then does not take it.
	errSessionRefused = errors.New("S3 refuses the session it has just made")
	// errSecret: the Secret could not be written, for a reason in the Secret itself.
	errSecret = errors.New("the credentials Secret cannot be written")
)

// linkLife is what a session lives that signs links: renewed before half of it, it has a full hour
// left at any time, the life of a link for which nobody asks another one.
const linkLife = 2 * time.Hour

// issue is a session that shall be: what it may do, for how long, and the Secret that it goes into.
type issue struct {
	secret string
	use    string
	bucket string
	policy string
	life   time.Duration
	usage  *databox.UsageRef // which the session may read
}

// issues are the sessions that the box's spec names. What it names and must not have is in the
// error; the others are there all the same.
func issues(box *platformv1.DataBox, bucket string, life time.Duration) ([]issue, error) {
	var all []issue
	var errs []error
	for _, s := range box.Spec.Sessions {
		use := databox.Access(s.Use)
		g, err := databox.UseOf(bucket, box.Spec.DatasetReference != nil, use, s.Object)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		grants, usage := []databox.Grant{g}, usageFor(box, use)
		if usage != nil {
			grants = append(grants, databox.Grant{Bucket: usage.Bucket, Access: databox.Read,
				Keys: []string{usage.Key}})
		}
		policy, err := databox.Policy(grants...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := issue{secret: use.Secret(box.Name, s.Object), use: s.Use, bucket: bucket, policy: policy, life: life,
			usage: usage}
		if use == databox.PutLinks || use == databox.GetLinks {
			i.life = linkLife
		}
		all = append(all, i)
	}
	return all, errors.Join(errs...)
}

// usageFor is what a session reads to know how full the box is: that of the gateway, which gives
// links to write, and that of servers, which store files of calls.
func usageFor(box *platformv1.DataBox, use databox.Access) *databox.UsageRef {
	if box.Spec.S3DefaultStorage == nil || use != databox.Files && use != databox.Calls {
		return nil
	}
	at := databox.UsageOf(databox.RunBucketName(names.SystemNamespace), box.Namespace, box.Name)
	return &at
}

// held is a session that lies in its Secret.
type held struct {
	expires, due time.Time
}

// ensureSession sees to it that the session's Secret holds one that is right, not yet due and taken
// by S3.
func (r *Reconciler) ensureSession(ctx context.Context, box *platformv1.DataBox, store storage, i issue) (held, error) {
	want := databox.Session{Endpoint: store.Config.S3.Endpoint, PublicEndpoint: store.Config.S3.PublicEndpoint,
		Region: store.Config.S3.Region, Bucket: i.bucket, Usage: i.usage}
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: box.Namespace, Name: i.secret}, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return held{}, wrapAPI("reading the credentials Secret", err)
	}
	why := "there was no Secret"
	if err == nil {
		var session databox.Session
		var h held
		if session, h, why = judge(secret, box, want, i.policy, time.Now()); why == "" {
			ok, err := store.takes(ctx, session)
			if err != nil || ok {
				return h, err
			}
			why = "S3 does not take the session any more"
		}
	}
	return r.renew(ctx, box, store, i, want, why)
}

// renew makes a session, tries it and writes it into the Secret.
func (r *Reconciler) renew(ctx context.Context, box *platformv1.DataBox, store storage, i issue, want databox.Session,
	why string) (held, error) {
	issued := time.Now()
	got, err := s3.AssumeRole(ctx, &http.Client{Transport: store.transport}, store.Config.S3.Endpoint,
		store.Config.S3.Region, store.Keys, i.policy, i.life)
	if err != nil {
		return held{}, err
	}
	want.AccessKeyID, want.SecretAccessKey, want.SessionToken, want.Expiration = got.AccessKeyID, got.SecretAccessKey,
		got.SessionToken, got.Expiration
	ok, err := store.takes(ctx, want)
	if err != nil {
		return held{}, err
	}
	if !ok { // not written: the next pass would throw it away, and so on for ever
		return held{}, errSessionRefused
	}
	if err := r.writeSecret(ctx, box, i, want, issued); err != nil {
		return held{}, err
	}
	// Events of the same action are folded into one, hence an action for each use.
	r.Events.Eventf(box, nil, corev1.EventTypeNormal, "CredentialsRenewed", "Renew-"+i.use,
		"new %s session until %s: %s", i.use, want.Expiration.Format(time.RFC3339), why)
	return held{want.Expiration, due(box, i.secret, issued, want.Expiration)}, nil
}

// judge looks at a Secret without asking S3. It returns the session and when it is due, or why it
// must be made anew.
func judge(secret *corev1.Secret, box *platformv1.DataBox, want databox.Session, policy string,
	now time.Time) (databox.Session, held, string) {
	no := func(why string) (databox.Session, held, string) { return databox.Session{}, held{}, why }
	s, err := databox.ParseSession(secret.Data[databox.SessionKey])
	if err != nil {
		return no("the Secret held no session")
	}
	if s.Endpoint != want.Endpoint || s.PublicEndpoint != want.PublicEndpoint || s.Region != want.Region ||
		s.Bucket != want.Bucket ||
		(s.Usage == nil) != (want.Usage == nil) || s.Usage != nil && *s.Usage != *want.Usage {
		return no("the session was of another S3 server or bucket")
	}
	if secret.Labels[SecretLabel] != box.Name || !metav1.IsControlledBy(secret, box) {
		return no("the Secret was changed by somebody")
	}
	if secret.Annotations[PolicyAnnotation] != names.Hash(policy) {
		return no("the session was for other rights")
	}
	issued, err := time.Parse(time.RFC3339, secret.Annotations[IssuedAnnotation])
	if err != nil || issued.After(now.Add(time.Minute)) || !s.Expiration.After(issued) {
		return no("the Secret did not say when it was made")
	}
	h := held{s.Expiration, due(box, secret.Name, issued, s.Expiration)}
	if !now.Before(h.due) {
		return no("half of its life has passed")
	}
	return s, h, ""
}

// due is when a session is renewed: at 40 to 45 % of its life, always the same for one Secret and
// different between them, so that the sessions of an installation are not all renewed in one
// moment. What is left to half of it is for the new session's way into the pods.
func due(box *platformv1.DataBox, secret string, issued, expires time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(box.UID) + secret)) // never fails
	half := expires.Sub(issued) / 2
	return issued.Add(half - half/10 - half/10*time.Duration(h.Sum32()%1000)/1000)
}

// takes asks S3 whether it knows the session. No session may read the tags of a bucket, so the
// answer is a no in each case: to one that is known because of its rights, to another one because
// of its keys. The error is S3's silence.
func (s storage) takes(ctx context.Context, session databox.Session) (bool, error) {
	c, err := s.dial(credentials.NewStaticV4(session.AccessKeyID, session.SecretAccessKey, session.SessionToken))
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

// writeSecret applies the Secret, whatever lies there under its name: names with dots in them are
// not a manifest's to give.
func (r *Reconciler) writeSecret(ctx context.Context, box *platformv1.DataBox, i issue, s databox.Session,
	issued time.Time) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("%w: %w", errSecret, err)
	}
	ac := corev1ac.Secret(i.secret, box.Namespace).
		WithLabels(map[string]string{
			SecretLabel:                    box.Name,
			"app.kubernetes.io/name":       box.Name,
			"app.kubernetes.io/component":  "databox",
			"app.kubernetes.io/part-of":    box.Namespace,
			"app.kubernetes.io/managed-by": "unip",
		}).
		WithAnnotations(map[string]string{
			IssuedAnnotation: issued.UTC().Format(time.RFC3339),
			PolicyAnnotation: names.Hash(i.policy),
		}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(platformv1.GroupVersion.String()).WithKind("DataBox").WithName(box.Name).WithUID(box.UID).
			WithController(true).WithBlockOwnerDeletion(true)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{databox.SessionKey: b})
	err = r.Client.Apply(ctx, ac, client.ForceOwnership, fieldOwner)
	if apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: delete Secret %s, which is not of this box: %w", errSecret, i.secret, err)
	}
	return wrapAPI("writing the credentials Secret", err)
}

// withdraw deletes all Secrets of the box.
func (r *Reconciler) withdraw(ctx context.Context, box *platformv1.DataBox) error {
	return r.keepOnly(ctx, box, nil)
}

// keepOnly deletes the Secrets of the box but those of the sessions: of uses that its module has no
// more, and of earlier releases. Only those that this box controls.
func (r *Reconciler) keepOnly(ctx context.Context, box *platformv1.DataBox, wanted []issue) error {
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := r.Live.List(ctx, found, client.InNamespace(box.Namespace),
		client.MatchingLabels{SecretLabel: box.Name}); err != nil {
		return wrapAPI("listing the credentials Secrets", err)
	}
	for i := range found.Items {
		s := &found.Items[i]
		if !metav1.IsControlledBy(s, box) || slices.ContainsFunc(wanted,
			func(w issue) bool { return w.secret == s.Name }) {
			continue
		}
		if err := r.Client.Delete(ctx, s, client.Preconditions{UID: &s.UID}); client.IgnoreNotFound(err) != nil {
			return wrapAPI("deleting a credentials Secret", err)
		}
	}
	return nil
}
