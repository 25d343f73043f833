package boxes

import (
	"context"
	"errors"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
)

// linkLife is what a session lives that signs links: renewed before half of it, it has a full hour
// left at any time, the life of a link for which nobody asks another one.
const linkLife = 2 * time.Hour

// issue is a session that shall be: what it may do, for how long, and the Secret that it goes into.
type issue struct {
	secret string
	use    string
	at     Bucket
	policy string
	life   time.Duration
	usage  *databox.UsageRef // which the session may read
	labels map[string]string // of the Secret, beside unip's own
}

// issues are the sessions that the box's spec names. What it names and must not have is in the
// error; the others are there all the same.
func issues(buckets databox.BucketNames, box *platformv1.DataBox, at Bucket, life time.Duration) ([]issue, error) {
	var all []issue
	labels, err := label.Carried(box.Spec.Labels)
	errs := []error{err}
	for _, s := range box.Spec.Sessions {
		use := databox.Access(s.Use)
		g, err := databox.UseOf(at.Name, box.Spec.DatasetReference != nil, use, s.Object)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		grants, usage := []databox.Grant{g.Below(at.Prefix)}, usageFor(buckets, box, use)
		if usage != nil {
			grants = append(grants, databox.Grant{Bucket: usage.Bucket, Access: databox.Read,
				Keys: []string{usage.Key}})
		}
		policy, err := databox.Policy(grants...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		i := issue{secret: use.Secret(box.Name, s.Object), use: s.Use, at: at, policy: policy, life: life,
			usage: usage, labels: labels}
		if use == databox.PutLinks || use == databox.GetLinks {
			i.life = linkLife
		}
		all = append(all, i)
	}
	return all, errors.Join(errs...)
}

// usageFor is what a session reads to know how full the box is: that of the gateway, which gives
// links to write, and that of servers, which store files of calls.
func usageFor(buckets databox.BucketNames, box *platformv1.DataBox, use databox.Access) *databox.UsageRef {
	writes := use == databox.Files || use == databox.Calls || use == databox.MountWrite
	if box.Spec.S3DefaultStorage == nil || !writes {
		return nil
	}
	at := databox.UsageOf(buckets.System(), box.Namespace, box.Name)
	at.Capacity = box.Capacity()
	return &at
}

// labelsOf are those of the session's Secret beside the usual ones.
func (i issue) labelsOf(box *platformv1.DataBox) map[string]string {
	all := map[string]string{}
	maps.Copy(all, i.labels)
	all[SecretLabel], all[label.Name] = box.Name, box.Name
	return all
}

// owner of all Secrets of a box.
func owner(box *platformv1.DataBox) sessions.Owner {
	return sessions.Owner{Object: box, Kind: platformv1.GroupVersion.WithKind("DataBox")}
}

// secretOf is the Secret of a session.
func secretOf(box *platformv1.DataBox, store settings.Store, i issue) sessions.Secret {
	at := store.Config.S3
	return sessions.Secret{
		Name: i.secret, Component: "databox", Owner: owner(box), Life: i.life, Tried: true,
		Labels: i.labelsOf(box),
		Files: map[string]sessions.Session{databox.SessionKey: {Policy: i.policy, Told: databox.Session{
			Endpoint: at.Endpoint, PublicEndpoint: at.PublicEndpoint, Region: at.Region,
			Bucket: i.at.Name, Prefix: i.at.Prefix, Usage: i.usage,
		}, Pair: sessions.Pair{Secret: names.BoxKeys(box.Name), Links: i.use == string(databox.PutLinks)}}},
	}
}

// withheld takes the keys away from a session that signs upload links, where these are not safe, and
// says why.
func (r *Reconciler) withheld(
	ctx context.Context, box *platformv1.DataBox, store settings.Store, i issue,
) (reason string, err error) {
	if i.use != string(databox.PutLinks) {
		return "", nil
	}
	by, err := signer(ctx, r.Live, store, box)
	if err != nil {
		return "", err
	}
	reason, err = r.UploadLinks.Closed(ctx, store, by)
	if err != nil || reason == "" {
		return "", err
	}
	k := sessions.Keeper{Client: r.Client, Live: r.Live, Store: store}
	return reason, k.Withhold(ctx, secretOf(box, store, i), reason, time.Now())
}

// signer is who signs links that write into a storage box.
func signer(
	ctx context.Context, live client.Reader, store settings.Store, box *platformv1.DataBox,
) (uploadlinks.Signer, error) {
	if !store.Config.S3.STS.None {
		return uploadlinks.Signer{}, nil
	}
	bucket := store.Config.S3.Buckets.Box(box.Namespace, box.Name)
	k := sessions.Keeper{Live: live, Store: store}
	keys, err := k.LinkKeys(ctx, box.Namespace, names.BoxKeys(box.Name), bucket)
	return uploadlinks.Signer{Keys: keys, Bucket: bucket}, err
}

// ensureSession sees to it that the session's Secret holds one that is right, not yet due and taken
// by S3.
func (r *Reconciler) ensureSession(
	ctx context.Context, box *platformv1.DataBox, store settings.Store, i issue,
) (sessions.Held, error) {
	k := sessions.Keeper{Client: r.Client, Live: r.Live, Store: store}
	held, err := k.Ensure(ctx, secretOf(box, store, i), time.Now())
	if err == nil && held.Renewed != "" {
		until := "without an end"
		if !held.Expires.IsZero() {
			until = "until " + held.Expires.Format(time.RFC3339)
		}
		// Events of the same action are folded into one, hence an action for each use.
		r.Events.Eventf(box, nil, corev1.EventTypeNormal, "CredentialsRenewed", "Renew-"+i.use,
			"new %s session %s: %s", i.use, until, held.Renewed)
	}
	return held, err
}

// keepOnly deletes the Secrets of the box but those of the sessions: of uses that its module has no
// more, and of earlier releases.
func (r *Reconciler) keepOnly(ctx context.Context, box *platformv1.DataBox, wanted []issue) error {
	var but []string
	for _, i := range wanted {
		but = append(but, i.secret)
	}
	k := sessions.Keeper{Client: r.Client, Live: r.Live}
	return k.Drop(ctx, owner(box), SecretLabel, box.Name, but...)
}

// withdraw deletes all Secrets of the box.
func (r *Reconciler) withdraw(ctx context.Context, box *platformv1.DataBox) error {
	return r.keepOnly(ctx, box, nil)
}
