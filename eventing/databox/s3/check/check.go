package check

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

const (
	// checkTimeout bounds one check, endTimeout what is taken away at the end.
	checkTimeout, endTimeout = 40 * time.Second, time.Minute
	// sessionLife is the shortest that servers give.
	sessionLife = 15 * time.Minute
	// checks is in the names of buckets and keys.
	checks = "s3-check-"
)

// Server is the server that is tried.
type Server struct {
	// Endpoint with its scheme; Region as in unip.yaml.
	Endpoint, Region string
	// Keys are the installation's.
	Keys s3.Keys
	// Session makes a session with a policy; nil where there is no STS.
	Session func(ctx context.Context, policy string, life time.Duration) (databox.Session, error)
	// Links sign upload links where there is no STS: the pair that the operator has made for the bucket.
	// Without it the installation's keys do. Such a bucket is a box's: all keys are among users' files
	// and of no form of theirs, so that nobody sees them, and no upload starts anything.
	Links s3.Keys
	// Buckets is what the names of new buckets begin with, to which the installation's keys may be
	// limited; "" is unip's usual.
	Buckets databox.BucketNames
	// Bucket is used where no bucket can be made; what is in it stays.
	Bucket string
	// Notify has a bucket tell of changes, as the installation's settings say; nil where it shall not.
	Notify func(ctx context.Context, c *minio.Client, bucket string) error
	// Told waits until the key of a bucket was told of, with whether it was removed; nil where what the
	// server tells comes to somebody else.
	Told func(ctx context.Context, bucket, key string, removed bool) error
	// Transport carries all requests; nil is one of minio-go's.
	Transport http.RoundTripper
}

// notTriedError is why a check was not made.
type notTriedError struct{ why string }

func (e notTriedError) Error() string { return e.why }

func notTried(why string) error { return notTriedError{why} }

// suite is one course of checks.
type suite struct {
	Server
	root *minio.Client
	http *http.Client
	// bucket is where it works, other is a second one that it has made, "" where it has none. made says
	// that bucket is its own, too.
	bucket, other string
	made          bool
	// prefix begins all keys; name is in those of users' files.
	prefix, name string
	// held are the sessions that were made, by their policies.
	held map[string]databox.Session
}

// try is one check. It is nil where the need is met, and notTriedError where that is not known.
type try func(context.Context, *suite) error

// tries are the checks by their needs.
var tries = map[string]try{
	needs.Buckets.Name: buckets, needs.BucketTags.Name: bucketTags, needs.Versions.Name: versions,
	needs.Lifecycle.Name: lifecycleRules,
	needs.WriteOnce.Name: writeOnce, needs.WriteOver.Name: writeOver, needs.ReadOne.Name: readOne,
	needs.Content.Name: content, needs.Checksums.Name: checksums, needs.Parts.Name: parts, needs.Copy.Name: copyWhole,
	needs.CopyParts.Name: copyParts, needs.DeleteMany.Name: deleteMany, needs.ObjectTags.Name: objectTags,
	needs.Names.Name: odd, needs.LongNames.Name: long, needs.FileAndFolder.Name: fileAndFolder,
	needs.GetLink.Name: getLink, needs.PutLink.Name: putLink, needs.PutLength.Name: putLength,
	needs.LinkEnds.Name: linkEnds,
	needs.Sessions.Name: sessions, needs.SessionLimits.Name: sessionLimits, needs.SessionPaths.Name: sessionPaths,
	needs.SessionPlain.Name:  sessionPlain,
	needs.Notifications.Name: notifications, needs.Told.Name: told,
	needs.LinkCopies.Name: linkCopies, needs.LinkUnpacks.Name: linkUnpacks, needs.LinkElsewhere.Name: linkElsewhere,
	needs.LinkSubresource.Name: linkSubresource, needs.LinkMethod.Name: linkMethod, needs.LinkHeaders.Name: linkHeaders,
	needs.LinkReads.Name: linkReads,
}

// All tries all needs, and tells of each as it is known. left names what it could not take away. The
// error is that of a server that cannot be asked at all.
func All(ctx context.Context, server Server, tell func(needs.Result)) (left string, err error) {
	x, err := open(server)
	if err != nil {
		return "", err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if e := x.end(ctx); e != nil {
			left = e.Error()
		}
	}()
	for _, n := range needs.Needs {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("the time was over before %q: %w", n.Name, context.Cause(ctx))
		}
		tell(x.result(ctx, n))
	}
	return "", nil
}

// ErrWritesNothing: the keys that sign links may not write into the bucket.
var ErrWritesNothing = errors.New("its links write nothing")

// UploadLinks tries only what closes upload links, in a bucket that is there. The results are those
// of needs with ClosesUploads that are not met. With ErrWritesNothing they cannot be known.
func UploadLinks(ctx context.Context, server Server, bucket string) (failed []needs.Result, err error) {
	server.Bucket = bucket
	x, err := open(server)
	if err != nil {
		return nil, err
	}
	x.bucket = bucket
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		err = errors.Join(err, x.end(ctx))
	}()
	if x.Links != (s3.Keys{}) {
		if err := x.writesAtAll(ctx); err != nil {
			return nil, err
		}
	}
	for _, n := range needs.Needs {
		if !n.ClosesUploads {
			continue
		}
		r := x.result(ctx, n)
		if ctx.Err() != nil { // nothing is said of a server that was not waited for
			return nil, fmt.Errorf("trying upload links, %s: %w", r.Check, context.Cause(ctx))
		}
		switch r.Outcome {
		case needs.NotTried:
			return nil, fmt.Errorf("trying upload links, %s: %s", r.Check, r.Answer)
		case needs.NotMet:
			failed = append(failed, r)
		}
	}
	return failed, nil
}

func open(server Server) (*suite, error) {
	random := make([]byte, 5)
	_, _ = rand.Read(random) // never fails
	server.Buckets = cmp.Or(server.Buckets, databox.UsualBuckets)
	x := &suite{Server: server, name: checks + hex.EncodeToString(random)}
	x.prefix = x.name + "/"
	if x.Links != (s3.Keys{}) {
		x.prefix = databox.UsersArea + x.prefix
	}
	x.http = &http.Client{Transport: server.Transport, Timeout: checkTimeout, CheckRedirect: noRedirect}
	var err error
	x.root, err = x.client(databox.Session{AccessKeyID: server.Keys.AccessKeyID,
		SecretAccessKey: server.Keys.SecretAccessKey})
	return x, err
}

// noRedirect: where a server sends somebody is its answer.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// client speaks to the server with the keys of a session. It asks once: what fails now and then has
// to be seen.
func (x *suite) client(s databox.Session) (*minio.Client, error) {
	s.Endpoint, s.Region = x.Endpoint, x.Region
	return s3.NewClient(s, credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, s.SessionToken),
		func(o *minio.Options) { o.MaxRetries, o.Transport = 1, x.Transport })
}

func (x *suite) result(ctx context.Context, n needs.Need) needs.Result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begin := time.Now()
	err := notTried("no bucket to try it in")
	if do := tries[n.Name]; x.bucket != "" || n.Name == needs.Buckets.Name || n.Name == needs.Sessions.Name {
		err = do(ctx, x)
	}
	outcome, answer := needs.Met, ""
	var not notTriedError
	switch {
	case errors.As(err, &not):
		outcome, answer = needs.NotTried, not.why
	case err != nil && x.away(ctx, err): // that says nothing of the need
		outcome, answer = needs.NotTried, err.Error()
	case err != nil:
		outcome, answer = needs.NotMet, err.Error()
	}
	r := n.Result(outcome, answer)
	r.Millis = time.Since(begin).Milliseconds()
	return r
}

// away reports a server that does not answer, and not only to one kind of request.
func (x *suite) away(ctx context.Context, err error) bool {
	if !s3.IsAbsent(err) || x.bucket == "" {
		return s3.IsAbsent(err)
	}
	_, err = x.root.BucketExists(context.WithoutCancel(ctx), x.bucket)
	return s3.IsAbsent(err)
}

// key is one of the developer's area, or of a user's file: only names of the suite's own.
func (x *suite) key(name string) string { return x.prefix + name }

func (x *suite) userKey(user, name string) string {
	if x.Links != (s3.Keys{}) {
		return x.prefix + user + "/" + name
	}
	return databox.UserPrefix(x.name+"-"+user) + name
}
