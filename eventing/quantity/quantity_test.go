package quantity_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/eventing/quantity"
)

// hostile are texts that Kubernetes' parser takes, or computes with for very long.
var hostile = []string{
	"1e99998888899999", "1e2147483647", "1e-2147483647", "-1E999999999", "1e100", ".1e-999",
	"9223372036854775808", "-10E", "1e99", strings.Repeat("9", 32), strings.Repeat("9", 33),
	"0." + strings.Repeat("1", 33), "1e1.5",
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"0", "1", "500m", "2Gi", "1.5G", ".5", "+1", "-1", "1e3", "1E-9", "9E", "-9E", "7Ei", "100u", "7n", "1e18",
		"1e-99",
		"9223372036854775807", "0." + strings.Repeat("1", 32),
	} {
		got, err := quantity.Parse(s)
		if want := resource.MustParse(s); err != nil || got.Cmp(want) != 0 {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range append(hostile, "", " 1", "1 ", "1GB", "a", "1\n", "--1", "1e", "0x10") {
		if q, err := quantity.Parse(s); !errors.Is(err, quantity.ErrForm) {
			t.Errorf("%q: %v, %v", s, q, err)
		}
	}
}

// No CRD of ours has an unbounded quantity.
func TestCRDsAreBounded(t *testing.T) {
	t.Parallel()
	for file, quantities := range map[string]int{"200-databox.yaml": 2, "201-runtime.yaml": 4} {
		b, err := os.ReadFile("../../config/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(quantity.Bound(b), b) {
			t.Errorf("%s: unbounded quantities: make generate", file)
		}
		if n := bytes.Count(b, []byte("KMGTPE]i")); n != quantities || bytes.Count(b, []byte(quantity.Pattern)) != n {
			t.Errorf("%s: %d quantities, %d with our pattern; want %d", file, n,
				bytes.Count(b, []byte(quantity.Pattern)), quantities)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(hostile, "500m", "1e3", "2Gi", "100000000000000000000000000.0000") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := quantity.Parse(s)
		if err != nil {
			return
		}
		if again, err := quantity.Parse(q.String()); err != nil || again.Cmp(q) != 0 {
			t.Errorf("%q is %s, and that is %s, %v", s, q.String(), again.String(), err)
		}
	})
}
