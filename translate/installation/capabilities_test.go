package installation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/translate/installation"
)

// The numbers of the capabilities that container runtimes give by default (linux/capability.h).
var usual = map[corev1.Capability]uint{
	"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
	"NET_BIND_SERVICE": 10, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31,
}

// What is kept and what is dropped by name is together all that a container gets: 0xa80425fb, as
// /proc/self/status of one without a security context says.
func TestCapabilitiesAreAllThatARuntimeGives(t *testing.T) {
	t.Parallel()
	var mask uint64
	for _, c := range slices.Concat(installation.UserCapabilities(), installation.UnusedCapabilities()) {
		bit, ok := usual[c]
		if !ok || mask&(1<<bit) != 0 {
			t.Errorf("%s is none of the usual ones, or there twice", c)
		}
		mask |= 1 << bit
	}
	if mask != 0xa80425fb {
		t.Errorf("mask %x", mask)
	}
	if slices.Contains(installation.UserCapabilities(), "NET_RAW") {
		t.Error("a user's container keeps NET_RAW")
	}
}
