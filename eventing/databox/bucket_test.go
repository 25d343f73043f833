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

func ExampleBucketName() {
	fmt.Println(databox.BucketName("pu-ann-pa-leaves", "weights"))
	// Output: unip-pu-ann-pa-leaves-weights-56on4saksb
}

func TestBucketNamesAreS3sAndInjective(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^unip-[a-z0-9]([a-z0-9-]*[a-z0-9])$`)
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
		n := databox.BucketName(ns, box)
		if len(n) > 63 || !form.MatchString(n) {
			t.Fatalf("%s/%s: bucket %q", ns, box, n)
		}
		if other, ok := seen[n]; ok && other != [2]string{ns, box} {
			t.Fatalf("%s/%s and %v share %q", ns, box, other, n)
		}
		seen[n] = [2]string{ns, box}
	}
	try("a-b", "c")
	try("a", "b-c")
	try(strings.Repeat("n", 63), strings.Repeat("b", 63))
	for range 5000 {
		try(label(), label())
	}
}

// A server that tells of all its buckets tells of others', and of the one in which what it tells is
// kept.
func TestMayBeBox(t *testing.T) {
	t.Parallel()
	for bucket, want := range map[string]bool{
		databox.BucketName("ann", "data"): true, databox.RunBucketName("ann"): true,
		databox.RunBucketName(names.SystemNamespace): false, "backups": false, "": false,
	} {
		if got := databox.MayBeBox(bucket); got != want {
			t.Errorf("%q: %v", bucket, got)
		}
	}
}
