package databox

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/unip-knative/unip/eventing/names"
)

// Tags of a bucket, which say whose it is. A bucket is only ever written, given out or deleted when
// those of its owner fit.
const (
	TagNamespace    = "unified-platform.cs.hse.ru/namespace"
	TagNamespaceUID = "unified-platform.cs.hse.ru/namespace-uid"
	TagBox          = "unified-platform.cs.hse.ru/box"
	TagClusterUID   = "unified-platform.cs.hse.ru/cluster-uid"
)

// BucketNames names the buckets of an installation. Its text is what all of them begin with, so that
// an operator can limit the installation's own S3 key to them: arn:aws:s3:::unip-*.
//
// Names are the same whenever they are asked for, and what has a bucket never shares it: the hash is
// always there, because a-b/c and a/b-c are the same without it.
type BucketNames string

// UsualBuckets are those of an installation that says nothing else.
const UsualBuckets BucketNames = "unip-"

const (
	// maxBucket is S3's limit of a bucket's name (they have 3 to 63 of a-z, 0-9 and "-").
	maxBucket = 63
	// maxPrefix leaves room for what tells buckets apart.
	maxPrefix = 24
)

// prefixForm leaves out the beginnings that Amazon keeps for itself.
var (
	prefixForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*-$`)
	reserved   = regexp.MustCompile(`^(xn--|sthree-|amzn-s3-demo-)`)
)

// Check refuses a beginning that no bucket can have.
func (n BucketNames) Check() error {
	if s := string(n); len(s) > maxPrefix || !prefixForm.MatchString(s) || reserved.MatchString(s) {
		return fmt.Errorf("%q is not up to %d of a-z, 0-9 and -, with a - at the end, that no S3 server keeps for itself",
			s, maxPrefix)
	}
	return nil
}

// Box is the bucket of a box: unip-<namespace>-<box>-<hash>.
func (n BucketNames) Box(namespace, box string) string {
	return n.name(namespace+"-"+box, names.Hash(namespace, box))
}

// RunsBox is what stands for the box in the tags of a module's run bucket; no DataBox can have that
// name.
const RunsBox = "/runs"

// Runs is the bucket of a module's runs: intermediate files, start records, logs.
func (n BucketNames) Runs(namespace string) string {
	return n.name(namespace+"-runs", names.Hash(namespace, RunsBox))
}

// System is the installation's own bucket.
func (n BucketNames) System() string { return n.Runs(names.SystemNamespace) }

// MayBeBox reports a bucket that may be a box's, by its name: it is none of others who use the same
// server, nor the installation's own.
func (n BucketNames) MayBeBox(bucket string) bool {
	return strings.HasPrefix(bucket, string(n)) && bucket != n.System()
}

// name is unip-<middle>-<hash>; the middle is cut where it is too long.
func (n BucketNames) name(middle, hash string) string {
	s := string(n) + middle
	if limit := maxBucket - len(hash) - 1; len(s) > limit {
		s = strings.TrimRight(s[:limit], "-.")
	}
	return s + "-" + hash
}

// Owner is the box that a bucket belongs to. The namespace's UID tells a namespace from a later one
// of the same name, whose users may be other people, and from that of another cluster on the same
// S3.
//
// The installation's own bucket has a ClusterUID too, that of the namespace kube-system, which lives
// as long as its cluster. There is one installation in a cluster, and who takes it away and installs
// it again is the same operator: so the bucket is the cluster's, and the UID of the installation's
// namespace stands there for controllers of v0.1.0, which compare that.
type Owner struct {
	Namespace, NamespaceUID, Box string
	ClusterUID                   string
}

// Tags are what the owner's bucket is tagged with.
func (o Owner) Tags() map[string]string {
	all := map[string]string{TagNamespace: o.Namespace, TagNamespaceUID: o.NamespaceUID, TagBox: o.Box}
	if o.ClusterUID != "" {
		all[TagClusterUID] = o.ClusterUID
	}
	return all
}

// Owns reports that a bucket with these tags, others among them, is the owner's. One that has all of
// Tags is; and one of the cluster, whatever namespace it was claimed for; and of an owner with a
// cluster the one that v0.1.0 has claimed, without the cluster's tag.
func (o Owner) Owns(found map[string]string) bool {
	if found[TagNamespace] != o.Namespace || found[TagBox] != o.Box {
		return false
	}
	if cluster := found[TagClusterUID]; o.ClusterUID != "" && cluster != "" {
		return cluster == o.ClusterUID
	}
	return found[TagNamespaceUID] == o.NamespaceUID
}
