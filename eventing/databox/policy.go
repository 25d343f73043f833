package databox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/plainjson"
)

// MaxPolicy is the longest inline session policy in bytes: MinIO and AWS refuse more than 2048
// characters.
const MaxPolicy = 2048

var (
	// ErrPolicyTooLong: the grants do not fit into one session; fewer of them do.
	ErrPolicyTooLong = errors.New("the session policy is too long")
	// ErrPattern: a key or prefix would be taken for a pattern by the server, and there is no way
	// to write it that every server understands.
	ErrPattern = errors.New("the path cannot be written in a session policy")
	// ErrGrant: the grants say nothing, or more than a session may hold.
	ErrGrant = errors.New("no such session is given")
)

// Grant is what a session may do with one bucket.
type Grant struct {
	Bucket string
	Access Access
	// Keys are exact keys, Prefix is for all keys below it. They belong to Read, Write, Copy,
	// Model, Mount, MountWrite and AuthorPut; the other accesses limit themselves. Those of datasets may have a
	// Prefix, too.
	//
	// Read, Write, Copy, Mount and MountWrite without both are for the whole area of the developer:
	// everything but users/. Such a grant denies users/ to the whole session, which therefore holds
	// no grant of a user's files in the same bucket. MountWrite does so with a prefix as well.
	Keys   []string
	Prefix string
}

// UseOf is the grant of a use of a box: of its own bucket, or of the owner's when it is a dataset.
// object is the model's, or the folder that is mounted.
func UseOf(bucket string, dataset bool, use Access, object string) (Grant, error) {
	g := Grant{Bucket: bucket, Access: use}
	switch {
	case use == Model && strings.HasSuffix(object, "/"):
		g.Prefix = object
	case use == Model:
		g.Keys = []string{object}
	case use == Mount && object != "", use == MountWrite && object != "" && !dataset:
		if object != Root {
			g.Prefix = object
		}
	case use == Files && dataset:
		g.Access = DatasetFiles
	case use == GetLinks && dataset:
		g.Access = DatasetRead
	case dataset:
		return Grant{}, fmt.Errorf("%w: a dataset can only be read, it has no %s", ErrGrant, use)
	case !slices.Contains([]Access{Files, PutLinks, GetLinks, Calls, CallsRead}, use):
		return Grant{}, fmt.Errorf("%w: a box has no use %q", ErrGrant, use)
	}
	return g, nil
}

// Below is the grant in a box that is a folder of the bucket: prefix is "", or ends in "/".
func (g Grant) Below(prefix string) Grant {
	keys := make([]string, 0, len(g.Keys))
	for _, k := range g.Keys {
		keys = append(keys, prefix+k)
	}
	if g.Keys = keys; len(keys) == 0 || g.Prefix != "" {
		g.Prefix = prefix + g.Prefix
	}
	return g
}

// area is the part of a bucket that an access is limited to.
type area int

const (
	named     area = iota // Keys and Prefix of the grant
	users                 // users/*
	developer             // everything but users/*
)

// rights are what an access may do.
type rights struct {
	area    area
	objects []string // verbs on objects
	// list is what may be listed of the area.
	list listing
	// plain forbids what a header makes of an upload (MinIO obeys one that a presigned link does
	// not sign): a copy, and tags.
	plain bool
}

type listing int

const (
	never   listing = iota
	below           // with a prefix in the area; with Keys alone there is none
	folders         // one folder at a time: a listing of all keys would show those of users, too
)

const (
	getObject    = "s3:GetObject"
	putObject    = "s3:PutObject"
	deleteObject = "s3:DeleteObject"
	abortUpload  = "s3:AbortMultipartUpload"
)

// accesses is the one place that says what sessions may do.
var accesses = map[Access]rights{
	Read:         {named, []string{getObject}, below, false},
	Write:        {named, []string{getObject, putObject, abortUpload}, below, false},
	Copy:         {named, []string{getObject, putObject, abortUpload}, never, false},
	Model:        {named, []string{getObject}, below, false},
	Files:        {users, []string{getObject, deleteObject}, below, false},
	PutLinks:     {users, []string{putObject}, never, true},
	GetLinks:     {users, []string{getObject}, never, false},
	Calls:        {users, []string{getObject, putObject, deleteObject, abortUpload}, never, true},
	CallsRead:    {users, []string{getObject}, never, false},
	Mount:        {named, []string{getObject}, folders, false},
	MountWrite:   {named, []string{putObject, abortUpload}, never, true},
	AuthorPut:    {named, []string{putObject}, never, true},
	DatasetFiles: {developer, []string{getObject}, folders, false},
	DatasetRead:  {developer, []string{getObject}, never, false},
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
	// Condition by operator, then by key.
	Condition map[string]map[string]string `json:",omitempty"`
}

// Policy is the inline policy of a session that may do what the grants say and nothing else. It
// never lists buckets, sees no bucket that is not named, and never makes, deletes or configures
// one; it reads and writes no tags and no ACL.
//
// A path stands in a policy as a pattern. AWS has ${*}, ${?} and ${$} for characters that mean
// themselves, MinIO takes none of them, so a path with "*", "?" or "${" is refused (ErrPattern):
// without it the session would open other paths, too. A lone "$" means itself in both.
//
// MinIO takes the prefix of a listing for s3:prefix from a header of that name, when there is one.
// A limit of a listing keeps an honest holder in its place, there it is no barrier against one who
// writes his own requests: he learns names, and no content.
func Policy(grants ...Grant) (string, error) {
	var p struct {
		Version   string
		Statement []statement
	}
	p.Version = "2012-10-17"
	for _, g := range grants {
		s, err := g.statements()
		if err != nil {
			return "", err
		}
		p.Statement = append(p.Statement, s...)
	}
	if err := checkTogether(grants); err != nil {
		return "", err
	}
	b, err := plainjson.Marshal(p) // encoding/json would make six bytes of one
	if err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	if len(b) > MaxPolicy {
		return "", fmt.Errorf("%w: %d grants make %d bytes, S3 takes %d", ErrPolicyTooLong, len(grants), len(b),
			MaxPolicy)
	}
	return string(b), nil
}

func (g Grant) statements() ([]statement, error) {
	r, ok := accesses[g.Access]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: unknown access %q", ErrGrant, g.Access)
	case g.Bucket == "":
		return nil, fmt.Errorf("%w: no bucket", ErrGrant)
	case r.area != named && len(g.Keys) > 0, r.area == users && g.Prefix != "":
		return nil, fmt.Errorf("%w: access %q takes no paths", ErrGrant, g.Access)
	case g.Access == Model:
		if err := checkModel(g); err != nil {
			return nil, err
		}
	case g.Access == AuthorPut:
		if err := checkAuthorPut(g); err != nil {
			return nil, err
		}
	case g.Access == Mount || g.Access == MountWrite:
		if err := checkMount(g); err != nil {
			return nil, err
		}
	}
	switch g.area() {
	case users:
		return r.statements(g.Bucket, nil, UsersArea), nil
	case developer:
		all := append(r.statements(g.Bucket, nil, ""), r.denyUsers(g.Bucket))
		if r.list != never {
			all = append(all, statement{
				Effect: "Deny", Action: []string{"s3:ListBucket"}, Resource: []string{arn(g.Bucket, "")},
				Condition: like("s3:prefix", UsersArea+"*"),
			})
		}
		return all, nil
	}
	if err := checkPaths(g); err != nil {
		return nil, err
	}
	all := r.statements(g.Bucket, g.Keys, g.Prefix)
	if g.Access == MountWrite { // whatever the prefix is said to be
		all = append(all, r.denyUsers(g.Bucket))
	}
	return all, nil
}

// denyUsers keeps the rights from all users' files.
func (r rights) denyUsers(bucket string) statement {
	return statement{Effect: "Deny", Action: r.objects, Resource: []string{arn(bucket, UsersArea+"*")}}
}

// area of a grant: Read and Write of nothing in particular are for what is the developer's.
func (g Grant) area() area {
	a := accesses[g.Access].area
	switch {
	case a == named && len(g.Keys) == 0 && g.Prefix == "":
		return developer
	case a == developer && g.Prefix != "":
		return named
	}
	return a
}

// statements allow the rights for the keys, and for the prefix; when there are no keys an empty
// prefix is the whole bucket.
func (r rights) statements(bucket string, keys []string, prefix string) []statement {
	objects := statement{Effect: "Allow", Action: r.objects}
	for _, k := range keys {
		objects.Resource = append(objects.Resource, arn(bucket, k))
	}
	whole := len(keys) == 0 && prefix == ""
	if whole || prefix != "" {
		objects.Resource = append(objects.Resource, arn(bucket, prefix+"*"))
	}
	all := []statement{objects}
	if r.plain { // in a statement of its own: MinIO takes these conditions with PutObject only
		put := objects
		put.Action = []string{putObject}
		put.Condition = map[string]map[string]string{"Null": {
			"s3:x-amz-copy-source": "true", "s3:RequestObjectTagKeys": "true",
		}}
		objects.Action = slices.DeleteFunc(slices.Clone(r.objects), func(verb string) bool { return verb == putObject })
		if all = []statement{put}; len(objects.Action) > 0 {
			all = append(all, objects)
		}
	}
	list := statement{Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: []string{arn(bucket, "")}}
	switch {
	case r.list == folders:
		list.Condition = map[string]map[string]string{"StringEquals": {delimiter: "/"}}
		if prefix != "" {
			list.Condition["StringLike"] = map[string]string{"s3:prefix": prefix + "*"}
		}
		all = append(all, list)
	case r.list == below && prefix != "":
		list.Condition = like("s3:prefix", prefix+"*")
		all = append(all, list)
	case r.list == below && whole:
		all = append(all, list)
	}
	return all
}

// resource begins the name of a bucket, or of a key in one, in a policy.
const resource = "arn:aws:s3:::"

func arn(bucket, key string) string {
	if key == "" {
		return resource + bucket
	}
	return resource + bucket + "/" + key
}

func like(key, pattern string) map[string]map[string]string {
	return map[string]map[string]string{"StringLike": {key: pattern}}
}

// checkPaths refuses what would open more than it
func checkPaths(g Grant) error {
	for _, p := range append(slices.Clone(g.Keys), g.Prefix) {
		if err := CheckLiteral(p); err != nil {
			return err
		}
	}
	if slices.Contains(g.Keys, "") {
		return fmt.Errorf("%w: an empty key", ErrGrant)
	}
	if g.Prefix != "" && strings.HasPrefix(UsersArea, g.Prefix) {
		return fmt.Errorf("%w: the prefix %q takes in the files of all users", ErrGrant, g.Prefix)
	}
	if rest, ok := strings.CutPrefix(g.Prefix, UsersArea); ok && strings.Index(rest, "/") < 1 {
		return fmt.Errorf("%w: the prefix %q takes in the files of several users", ErrGrant, g.Prefix)
	}
	return nil
}

// CheckLiteral reports a path that no session can be given for, see Policy. Who takes a path that a
// session will be made for asks it early.
func CheckLiteral(p string) error {
	switch {
	case strings.ContainsAny(p, "*?") || strings.Contains(p, "${"):
		return fmt.Errorf("%w: %q holds *, ? or ${, which S3 takes for a pattern: rename it", ErrPattern, p)
	case !utf8.ValidString(p):
		return fmt.Errorf("%w: %q is not UTF-8", ErrPattern, p)
	}
	return nil
}

// checkModel refuses a model that is not one object or one folder of the developer's.
func checkModel(g Grant) error {
	object := strings.Join(g.Keys, "") + g.Prefix
	folder := g.Prefix != ""
	if len(g.Keys) > 1 || folder == (len(g.Keys) == 1) || folder != strings.HasSuffix(object, "/") {
		return fmt.Errorf("%w: a model is one key, or one prefix that ends in /", ErrGrant)
	}
	if err := CheckModelKey(object); err != nil {
		return fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return nil
}

// checkAuthorPut refuses what is not exactly one object of the developer's.
func checkAuthorPut(g Grant) error {
	if len(g.Keys) != 1 || g.Prefix != "" || strings.HasSuffix(g.Keys[0], "/") {
		return fmt.Errorf("%w: an author writes one object at a time", ErrGrant)
	}
	if err := CheckDeveloperPath(g.Keys[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return nil
}

// checkMount refuses what is not one folder of the developer's, or all of that area.
func checkMount(g Grant) error {
	switch {
	case len(g.Keys) > 0 || g.Prefix != "" && !strings.HasSuffix(g.Prefix, "/"):
		return fmt.Errorf("%w: what is mounted is one prefix that ends in /, or the whole box", ErrGrant)
	case g.Prefix == "":
		return nil
	}
	if err := CheckDeveloperPath(g.Prefix); err != nil {
		return fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return nil
}

// checkTogether refuses grants that would take from each other: a Deny holds for the whole session.
func checkTogether(grants []Grant) error {
	for _, whole := range grants {
		if whole.area() != developer {
			continue
		}
		for _, g := range grants {
			inUsers := func(p string) bool { return strings.HasPrefix(p, UsersArea) }
			if g.Bucket == whole.Bucket && (g.area() == users || inUsers(g.Prefix) ||
				slices.ContainsFunc(g.Keys, inUsers)) {
				return fmt.Errorf("%w: the developer's whole area and users' files of bucket %s need a session each",
					ErrGrant, g.Bucket)
			}
		}
	}
	return nil
}
