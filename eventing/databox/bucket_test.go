package databox_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

func ExampleBucketNames() {
	fmt.Println(databox.UsualBuckets.Box("pu-ann-pa-leaves", "weights"))
	// Output: unip-pu-ann-pa-leaves-weights-56on4saksb
}

func TestBucketNamesAreS3sAndInjective(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(unip|the-longest-of-all-ones)-[a-z0-9]([a-z0-9-]*[a-z0-9])$`)
	r := rand.New(rand.NewPCG(1, 2))
	label := func() string {
		b := []byte("ab-")
		n := 1 + r.IntN(63)
		var s strings.Builder
		for range n {
			s.WriteByte(b[r.IntN(len(b))])
		}
		return "a" + s.String()[:n-1]
	}
	seen := map[string][2]string{}
	try := func(ns, box string) {
		for _, buckets := range []databox.BucketNames{databox.UsualBuckets, "the-longest-of-all-ones-"} {
			n := buckets.Box(ns, box)
			if len(n) > 63 || !form.MatchString(n) {
				t.Fatalf("%s/%s: bucket %q", ns, box, n)
			}
			if other, ok := seen[n]; ok && other != [2]string{ns, box} {
				t.Fatalf("%s/%s and %v share %q", ns, box, other, n)
			}
			seen[n] = [2]string{ns, box}
		}
	}
	try("a-b", "c")
	try("a", "b-c")
	try(strings.Repeat("n", 63), strings.Repeat("b", 63))
	for range 5000 {
		try(label(), label())
	}
}

// What no server lets a bucket begin with is said before one is made.
func TestCheckBucketNames(t *testing.T) {
	t.Parallel()
	for names, want := range map[databox.BucketNames]bool{
		databox.UsualBuckets: true, "7-": true, "the-longest-of-all-ones-": true, "one-longer-than-there-is-": false,
		"": false, "-": false, "unip": false, "-unip-": false, "Unip-": false, "a.b-": false, "a_b-": false,
		"a b-": false, "юнип-": false, "a/../b-": false, "unip-\n": false,
		"xn--a-": false, "sthree-a-": false, "amzn-s3-demo-": false,
	} {
		if err := names.Check(); (err == nil) != want {
			t.Errorf("%q: %v", string(names), err)
		}
	}
}

// A server that tells of all its buckets tells of others', and of the one in which what it tells is
// kept.
func TestMayBeBox(t *testing.T) {
	t.Parallel()
	const other databox.BucketNames = "hse-unip-"
	if !other.MayBeBox(other.Box("ann", "data")) || other.MayBeBox(other.System()) ||
		other.MayBeBox(databox.UsualBuckets.Box("ann", "data")) {
		t.Error("buckets of other names than usual are mixed up")
	}
	for bucket, want := range map[string]bool{
		databox.UsualBuckets.Box("ann", "data"): true, databox.UsualBuckets.Runs("ann"): true,
		databox.UsualBuckets.System(): false, "backups": false, "": false,
	} {
		if got := databox.UsualBuckets.MayBeBox(bucket); got != want {
			t.Errorf("%q: %v", bucket, got)
		}
	}
}

// A box's bucket is its namespace's. The installation's own is its cluster's, and of v0.1.0 its
// namespace's.
func TestOwns(t *testing.T) {
	t.Parallel()
	box := databox.Owner{Namespace: "ann", NamespaceUID: "u", Box: "data"}
	own := databox.Owner{Namespace: names.SystemNamespace, NamespaceUID: "u", Box: databox.RunsBox, ClusterUID: "c"}
	change := func(o databox.Owner, do func(*databox.Owner)) map[string]string { do(&o); return o.Tags() }
	other := func(o *databox.Owner) { o.NamespaceUID = "v" }
	for name, tc := range map[string]struct {
		owner databox.Owner
		tags  map[string]string
		want  bool
	}{
		"a box's":                       {box, box.Tags(), true},
		"of the box's namespace before": {box, change(box, other), false},
		"of a box of its cluster":       {box, change(box, func(o *databox.Owner) { o.ClusterUID = "c"; other(o) }), false},
		"of another box":                {box, change(box, func(o *databox.Owner) { o.Box = "more" }), false},
		"nobody's":                      {box, nil, false},
		"half tagged":                   {box, map[string]string{databox.TagNamespace: "ann", databox.TagBox: "data"}, false},
		"the installation's":            {own, own.Tags(), true},
		"of the installation before":    {own, change(own, other), true},
		"of v0.1.0":                     {own, change(own, func(o *databox.Owner) { o.ClusterUID = "" }), true},
		"of a v0.1.0 before":            {own, change(own, func(o *databox.Owner) { o.ClusterUID = ""; other(o) }), false},
		"of another cluster":            {own, change(own, func(o *databox.Owner) { o.ClusterUID = "d" }), false},
		"of a box in the cluster":       {own, change(own, func(o *databox.Owner) { o.Box = "data" }), false},
		"of a module in the cluster":    {own, change(own, func(o *databox.Owner) { o.Namespace = "ann" }), false},
	} {
		if got := tc.owner.Owns(tc.tags); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
