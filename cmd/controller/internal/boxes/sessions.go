package boxes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/names"
)

var (
	// errSessionRefused: S3 made a session and then does not take it.
	errSessionRefused = errors.New("S3 refuses the session it has just made")
	// errSecret: the Secret could not be written, for a reason in the Secret itself.
	errSecret = errors.New("the credentials Secret cannot be written")
)

// held is a session that lies in its Secret.
type held struct {
	expires, due time.Time
}

// ensureSession sees to it that the Secret of one access holds a session that is right, not yet due and taken by S3.
func (r *Reconciler) ensureSession(ctx context.Context, box *platformv1.DataBox, s3 storage, g databox.Grant) (held, error) {
	want := databox.Session{Endpoint: s3.Config.S3.Endpoint, PublicEndpoint: s3.Config.S3.PublicEndpoint, Region: s3.Config.S3.Region, Bucket: g.Bucket}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: box.Namespace, Name: names.Credentials(box.Name, g.Access)}
	err := r.Live.Get(ctx, key, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return held{}, wrapAPI("reading the credentials Secret", err)
	}
	why := "there was no Secret"
	if err == nil {
		var session databox.Session
		var h held
		if session, h, why = judge(secret, box, want, time.Now()); why == "" {
			ok, err := s3.takes(ctx, session)
			if err != nil || ok {
				return h, err
			}
			why = "S3 does not take the session any more"
		}
	}
	return r.renew(ctx, box, s3, g, want, key.Name, why)
}

// renew makes a session, tries it and writes it into the Secret.
func (r *Reconciler) renew(ctx context.Context, box *platformv1.DataBox, s3 storage, g databox.Grant, want databox.Session, name, why string) (held, error) {
	policy, err := databox.Policy(g)
	if err != nil {
		return held{}, err
	}
	issued := time.Now()
	got, err := databox.AssumeRole(ctx, &http.Client{Transport: s3.transport}, s3.Config.S3.Endpoint, s3.Config.S3.Region, s3.Keys, policy, s3.SessionLife())
	if err != nil {
		return held{}, err
	}
	want.AccessKeyID, want.SecretAccessKey, want.SessionToken, want.Expiration = got.AccessKeyID, got.SecretAccessKey, got.SessionToken, got.Expiration
	ok, err := s3.takes(ctx, want)
	if err != nil {
		return held{}, err
	}
	if !ok { // not written: the next pass would throw it away, and so on for ever
		return held{}, errSessionRefused
	}
	if err := r.writeSecret(ctx, box, name, want, issued); err != nil {
		return held{}, err
	}
	// Events of the same action are folded into one, hence an action for each access.
	r.Events.Eventf(box, nil, corev1.EventTypeNormal, "CredentialsRenewed", "Renew-"+string(g.Access),
		"new %s session until %s: %s", g.Access, want.Expiration.Format(time.RFC3339), why)
	return held{want.Expiration, due(box, g.Access, issued, want.Expiration)}, nil
}

// judge looks at a Secret without asking S3. It returns the session and when it is due, or why it must be made anew.
func judge(secret *corev1.Secret, box *platformv1.DataBox, want databox.Session, now time.Time) (databox.Session, held, string) {
	no := func(why string) (databox.Session, held, string) { return databox.Session{}, held{}, why }
	s, err := databox.ParseSession(secret.Data[databox.SessionKey])
	if err != nil {
		return no("the Secret held no session")
	}
	if s.Endpoint != want.Endpoint || s.PublicEndpoint != want.PublicEndpoint || s.Region != want.Region || s.Bucket != want.Bucket {
		return no("the session was of another S3 server or bucket")
	}
	if secret.Labels[SecretLabel] != box.Name || !metav1.IsControlledBy(secret, box) {
		return no("the Secret was changed by somebody")
	}
	issued, err := time.Parse(time.RFC3339, secret.Annotations[IssuedAnnotation])
	if err != nil || issued.After(now.Add(time.Minute)) || !s.Expiration.After(issued) {
		return no("the Secret did not say when it was made")
	}
	h := held{s.Expiration, due(box, accessOf(secret, box), issued, s.Expiration)}
	if !now.Before(h.due) {
		return no("half of its life has passed")
	}
	return s, h, ""
}

// accessOf is told by the Secret's name.
func accessOf(secret *corev1.Secret, box *platformv1.DataBox) names.Access {
	if secret.Name == names.Credentials(box.Name, names.Read) {
		return names.Read
	}
	return names.Write
}

// due is when a session is renewed: at 45 to 50 % of its life, always the same for one Secret and different between them, so that the sessions
// of an installation are not all renewed in one moment.
func due(box *platformv1.DataBox, a names.Access, issued, expires time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(box.UID) + string(a)))
	half := expires.Sub(issued) / 2
	return issued.Add(half - half/10*time.Duration(h.Sum32()%1000)/1000)
}

// takes asks S3 whether it lets the session look at its bucket. The error is S3's silence, not its no.
func (s storage) takes(ctx context.Context, session databox.Session) (bool, error) {
	c, err := s.dial(credentials.NewStaticV4(session.AccessKeyID, session.SecretAccessKey, session.SessionToken))
	if err != nil {
		return false, err
	}
	exists, err := c.BucketExists(ctx, session.Bucket)
	var answer minio.ErrorResponse
	switch {
	case databox.IsRefused(err), errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest: // AWS's answer to a dead token
		return false, nil
	case err != nil:
		return false, fmt.Errorf("trying a session at S3: %w", err)
	case !exists:
		return false, fmt.Errorf("bucket %s went away", session.Bucket)
	}
	return true, nil
}

// writeSecret applies the Secret, whatever lies there under its name: names with dots in them are not a manifest's to give.
func (r *Reconciler) writeSecret(ctx context.Context, box *platformv1.DataBox, name string, s databox.Session, issued time.Time) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("%w: %w", errSecret, err)
	}
	ac := corev1ac.Secret(name, box.Namespace).
		WithLabels(map[string]string{
			SecretLabel:                    box.Name,
			"app.kubernetes.io/name":       box.Name,
			"app.kubernetes.io/component":  "databox",
			"app.kubernetes.io/part-of":    box.Namespace,
			"app.kubernetes.io/managed-by": "unip",
		}).
		WithAnnotations(map[string]string{IssuedAnnotation: issued.UTC().Format(time.RFC3339)}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(platformv1.GroupVersion.String()).WithKind("DataBox").WithName(box.Name).WithUID(box.UID).
			WithController(true).WithBlockOwnerDeletion(true)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{databox.SessionKey: b})
	err = r.Client.Apply(ctx, ac, client.ForceOwnership, fieldOwner)
	if apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: delete Secret %s, which is not of this box: %w", errSecret, name, err)
	}
	return wrapAPI("writing the credentials Secret", err)
}

// withdraw deletes the box's Secrets. Only those that this box controls.
func (r *Reconciler) withdraw(ctx context.Context, box *platformv1.DataBox) error {
	for _, a := range []names.Access{names.Read, names.Write} {
		s := &corev1.Secret{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: box.Namespace, Name: names.Credentials(box.Name, a)}, s)
		if apierrors.IsNotFound(err) || (err == nil && !metav1.IsControlledBy(s, box)) {
			continue
		}
		if err != nil {
			return wrapAPI("reading a credentials Secret", err)
		}
		if err := r.Client.Delete(ctx, s, client.Preconditions{UID: &s.UID}); client.IgnoreNotFound(err) != nil {
			return wrapAPI("deleting a credentials Secret", err)
		}
	}
	return nil
}
