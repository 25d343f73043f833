package boxes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/printable"
)

// answerPuts answers the requests of authors to write an object (package put). Whoever may change a
// box may ask: the API server has looked at that when it took the annotation. o is what the pass has
// found of the box; its puts become the status's.
func (r *Reconciler) answerPuts(ctx context.Context, box *platformv1.DataBox, o outcome) outcome {
	now := time.Now()
	o.puts = box.Status.Puts
	if o.reason == "" || len(o.puts) == 0 && !asked(box) {
		return o
	}
	answered, over := standing(box, now)
	if err := r.forgetPuts(ctx, box, over); err != nil {
		o.err = errors.Join(o.err, err)
		return o
	}
	o.puts = answered
	for _, name := range slices.Sorted(maps.Keys(box.Annotations)) {
		id, ok := strings.CutPrefix(name, put.Prefix)
		isID := func(p platformv1.Put) bool { return p.Request == id }
		if !ok || slices.ContainsFunc(o.puts, isID) {
			continue
		}
		if len(o.puts) >= put.Most {
			break // the others come when one of these is over
		}
		answer := platformv1.Put{Request: id, Expires: metav1.NewTime(now.Add(put.Life).Truncate(time.Second))}
		switch err := r.answerPut(ctx, box, o, box.Annotations[name], &answer); {
		case errors.Is(err, errLater):
			continue
		case err != nil:
			answer.Reason, answer.Message = told(err)
		}
		o.puts = append(o.puts, answer)
	}
	for _, p := range o.puts {
		if left := max(p.Expires.Sub(now), time.Second); o.after == 0 || left < o.after {
			o.after = left
		}
	}
	return o
}

func asked(box *platformv1.DataBox) bool {
	for name := range box.Annotations {
		if strings.HasPrefix(name, put.Prefix) {
			return true
		}
	}
	return false
}

// standing are the answers whose requests are still there, and those whose time is over.
func standing(box *platformv1.DataBox, now time.Time) (answered, over []platformv1.Put) {
	for _, p := range box.Status.Puts {
		_, there := box.Annotations[put.Prefix+p.Request]
		switch {
		case there && now.Before(p.Expires.Time):
			answered = append(answered, p)
		case there:
			over = append(over, p)
		}
	}
	return answered, over
}

// forgetPuts takes requests away that nobody has taken away.
func (r *Reconciler) forgetPuts(ctx context.Context, box *platformv1.DataBox, over []platformv1.Put) error {
	if len(over) == 0 {
		return nil
	}
	before := box.DeepCopy()
	for _, p := range over {
		delete(box.Annotations, put.Prefix+p.Request)
	}
	// No lock: the patch names these annotations alone, and no other request is like one of them.
	err := r.Client.Patch(ctx, box, client.MergeFrom(before), fieldOwner)
	return wrapAPI("taking old requests from the box", client.IgnoreNotFound(err))
}

// errLater: the box is not ready, and may be so without anybody's doing. The request waits.
var errLater = errors.New("the box is not ready yet")

// told is what is said of a request that got no link.
func told(err error) (reason, message string) {
	reason = put.StorageError
	if no, ok := errors.AsType[*put.RefusedError](err); ok {
		reason = no.Reason
	}
	return reason, printable.Line(err.Error())
}

func refusePut(reason, format string, args ...any) error {
	return &put.RefusedError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// answerPut makes the link of one request.
func (r *Reconciler) answerPut(ctx context.Context, box *platformv1.DataBox, o outcome, value string,
	answer *platformv1.Put) error {
	request, err := put.Parse(answer.Request, value)
	switch {
	case err != nil:
		return refusePut(put.Invalid, "%v", err)
	case box.Spec.S3DefaultStorage == nil:
		return errDataset
	case o.claimedFor == "" && o.err != nil:
		return errLater
	case o.claimedFor == "": // whose bucket it is has not been proved
		return refusePut(put.NotUsable, "the box cannot be used: %s: %s", o.reason, o.message)
	}
	store, err := r.Settings.Open(r.Transport)
	if err != nil {
		return err
	}
	link, expires, err := sealedLink(ctx, r.Live, r.UploadLinks, store, box, request)
	if err != nil {
		return err
	}
	answer.Link, answer.Expires = link, metav1.NewTime(expires)
	r.Events.Eventf(box, nil, corev1.EventTypeNormal, "AuthorPut", "Put", "a link was given that writes %s, %d bytes",
		printable.Line(request.Key), request.Size)
	return nil
}

// errDataset: nobody writes there.
var errDataset = refusePut(put.ReadOnly, "the box is a dataset of another module, which can only be read")

// sealedLink makes a link of a storage box whose bucket has been proved.
func sealedLink(
	ctx context.Context, live client.Reader, guard *uploadlinks.Guard, store settings.Store, box *platformv1.DataBox,
	request put.Request,
) (sealed []byte, expires time.Time, err error) {
	by, err := signer(ctx, live, store, box)
	if err != nil {
		return nil, expires, err
	}
	closed, err := guard.Closed(ctx, store, by)
	if err != nil {
		return nil, expires, err
	}
	if closed != "" {
		return nil, expires, refusePut(put.LinksClosed, "%s: %s", platformv1.NoUploadLinks, closed)
	}
	bucket := store.Config.S3.Buckets.Box(box.Namespace, box.Name)
	old, err := store.StatObject(ctx, bucket, request.Key, minio.StatObjectOptions{})
	switch {
	case err == nil && !request.Overwrite:
		return nil, expires, request.Taken(old.Size)
	case err != nil && !s3.IsMissing(err):
		return nil, expires, fmt.Errorf("looking at what is in the box: %w", err)
	}
	if err := fits(ctx, store, box, request.Size, old.Size); err != nil {
		return nil, expires, err
	}
	link, expires, err := putLink(ctx, by, store, box, request)
	if err != nil {
		return nil, expires, err
	}
	sealed, err = request.Seal(link)
	return sealed, expires.Truncate(time.Second), err
}

// fits refuses an object of size bytes, in place of one of old bytes, for which there is no room.
func fits(ctx context.Context, store settings.Store, box *platformv1.DataBox, size, old int64) error {
	if old > 0 && size <= old { // the box gets no fuller
		return nil
	}
	at := databox.UsageOf(store.Config.S3.Buckets.System(), box.Namespace, box.Name)
	used, known, err := s3.ReadUsage(ctx, store.Client, at)
	if err != nil {
		return err
	}
	if !known {
		used.Capacity = box.Capacity()
	}
	if err := used.Fit(max(size-old, 0)); err != nil {
		return refusePut(put.BoxFull, "%v", err)
	}
	return nil
}

// putLink makes the session that may write the one object and nothing else, and signs with it a link
// that takes so many bytes and no other number.
func putLink(
	ctx context.Context, by uploadlinks.Signer, store settings.Store, box *platformv1.DataBox, request put.Request,
) (link string, expires time.Time, err error) {
	bucket := store.Config.S3.Buckets.Box(box.Namespace, box.Name)
	session, err := putSession(ctx, by, store, bucket, request.Key)
	if err != nil {
		return "", expires, err
	}
	at := store.Config.S3
	session.Endpoint, session.Region, session.Bucket = cmp.Or(at.PublicEndpoint, at.Endpoint), at.Region, bucket
	signer, err := s3.NewClient(session, s3.Static(session))
	if err != nil {
		return "", expires, err
	}
	life := put.Life
	if !session.Expiration.IsZero() {
		life = min(life, time.Until(session.Expiration)).Truncate(time.Second)
	}
	signed := http.Header{"Content-Length": {strconv.FormatInt(request.Size, 10)}}
	u, err := signer.PresignHeader(ctx, http.MethodPut, bucket, request.Key, life, nil, signed)
	if err != nil {
		return "", expires, fmt.Errorf("signing a link: %w", err)
	}
	return u.String(), time.Now().Add(life), nil
}

// putSession may write the key. Where S3 gives no sessions, it is the pair of the box that signs links.
func putSession(
	ctx context.Context, by uploadlinks.Signer, store settings.Store, bucket, key string,
) (databox.Session, error) {
	if store.Config.S3.STS.None {
		return databox.Session{AccessKeyID: by.Keys.AccessKeyID, SecretAccessKey: by.Keys.SecretAccessKey}, nil
	}
	policy, err := databox.Policy(databox.Grant{Bucket: bucket, Access: databox.AuthorPut, Keys: []string{key}})
	if err != nil {
		return databox.Session{}, err
	}
	return store.STS().Session(ctx, &http.Client{Transport: store.Transport}, policy, put.Life)
}
