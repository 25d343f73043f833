package databox

import (
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

// bucketPrefix lets an operator limit the installation's own S3 key to its buckets:
// arn:aws:s3:::unip-*.
const bucketPrefix = "unip-"

// maxBucket is S3's limit of a bucket's name (they have 3 to 63 of a-z, 0-9 and "-").
const maxBucket = 63

// BucketName is the bucket of a box: unip-<namespace>-<box>-<hash>. It is the same whenever it is
// asked for, and different boxes never share one: the hash over both names is always there, because
// a-b/c and a/b-c are the same without it.
func BucketName(namespace, box string) string {
	return bucketName(namespace+"-"+box, names.Hash(namespace, box))
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

// RunsBox is what stands for the box in the tags of a module's run bucket; no DataBox can have that
// name.
const RunsBox = "/runs"

// RunBucketName is the bucket of a module's runs: intermediate files, start records, logs.
func RunBucketName(namespace string) string {
	return bucketName(namespace+"-runs", names.Hash(namespace, RunsBox))
}

// MayBeBox reports a bucket that may be a box's, by its name: it is none of others who use the same
// server, nor the installation's own.
func MayBeBox(bucket string) bool {
	return strings.HasPrefix(bucket, bucketPrefix) && bucket != RunBucketName(names.SystemNamespace)
}

// bucketName is unip-<middle>-<hash>; the middle is cut where it is too long.
func bucketName(middle, hash string) string {
	s := bucketPrefix + middle
	if limit := maxBucket - len(hash) - 1; len(s) > limit {
		s = strings.TrimRight(s[:limit], "-.")
	}
	return s + "-" + hash
}
