package quantity_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/eventing/quantity"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	for text, name := range map[string]corev1.ResourceName{
		"512Mi": "memory", "2G": "memory", "1e9": "memory", "8388608": "memory", "1.5Gi": "memory",
		"1Gi": "ephemeral-storage", "2": "cpu", "0.5": "cpu", "500m": "cpu", "128": "cpu", "1": "nvidia.com/gpu",
		"0": "nvidia.com/gpu", "4Gi": "example.com/fast-memory",
	} {
		if q, err := quantity.Limit(name, text); err != nil || q.Cmp(resource.MustParse(text)) != 0 {
			t.Errorf("%s %q: %v, %v", name, text, q, err)
		}
	}
	// What is no sense, and what the message says.
	for _, c := range []struct {
		name        corev1.ResourceName
		text, wants string
	}{
		{"memory", "512m", "write 512M or 512Mi"}, {"memory", "512", "write 512M or 512Mi"},
		{"memory", "512MB", "write 512M or 512Mi"}, {"memory", "512 mb", "write 512M or 512Mi"},
		{"memory", "2Gb", "write 2G or 2Gi"}, {"memory", "2GiB", "write 2Gi"},
		{"memory", "1,5g", "write 1.5G or 1.5Gi"},
		{"memory", "100k", "write 100M or 100Mi"}, {"memory", "0", "write 1G, 500Mi or the like"},
		{"memory", "-1G", "write 1G, 500Mi or the like"}, {"memory", "lots", "write 1G, 500Mi or the like"},
		{"memory", "", "write 1G, 500Mi or the like"}, {"ephemeral-storage", "10m", "write 10M or 10Mi"},
		{"cpu", "2000", "write 2000m"}, {"cpu", "2 cores", "write 2"}, {"cpu", "0,5", "write 0.5"},
		{"cpu", "500 millicores", "write 500m"}, {"cpu", "0", "write 2, 0.5 or 500m"},
		{"cpu", "1u", "write 2, 0.5 or 500m"}, {"cpu", "512Mi", "processors"}, {"cpu", "1e999999999", "write"},
		{"nvidia.com/gpu", "0.5", "undivided"}, {"nvidia.com/gpu", "-1", "whole number"},
	} {
		if q, err := quantity.Limit(c.name, c.text); err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s %q: %v, %v, want %q", c.name, c.text, q, err, c.wants)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1G", "5", "500Mi", "1e9", "1.5k", "9223372036854775807"} {
		if _, err := quantity.Size(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{"10m": "write 10M or 10Mi", "1.5": "write 1.5M or 1.5Mi",
		"1TB": "write 1T or 1Ti", "0": "is not a size", "1e-9": "whole number of bytes"} {
		if _, err := quantity.Size(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Whatever the text: what is taken for a size is one of whole bytes, and what a message says to
// write is one too.
func FuzzSize(f *testing.F) {
	for _, s := range append(hostile, "512m", "512MB", "1,5 gib", "0", "7kb", "1e-3") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := quantity.Size(s)
		if err == nil {
			if q.Sign() <= 0 || resource.NewQuantity(q.Value(), q.Format).Cmp(q) != 0 {
				t.Errorf("%q is %v", s, q)
			}
			return
		}
		_, cure, ok := strings.Cut(err.Error()[strings.LastIndex(err.Error(), "; "):], "write ")
		if !ok {
			t.Fatalf("%q: no cure: %v", s, err)
		}
		for word := range strings.SplitSeq(strings.ReplaceAll(cure, ", 500Mi or the like", ""), " or ") {
			if _, err := quantity.Size(word); err != nil {
				t.Errorf("%q: %q is offered, and: %v", s, word, err)
			}
		}
	})
}
