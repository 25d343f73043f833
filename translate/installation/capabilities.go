package installation

import corev1 "k8s.io/api/core/v1"

// UserCapabilities are what the container of a module's author keeps under baseline: images that
// start as root do so to own files and to become somebody else. Nothing in them reaches the
// network: with NET_RAW a function would read other callers' signatures off the wire.
func UserCapabilities() []corev1.Capability {
	return []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL"}
}

// UnusedCapabilities are the others of those that a container gets where nobody says which, by
// containerd, CRI-O and Docker. Knative refuses to add capabilities to none unless its operator has
// allowed that, so its containers name what they drop; a Job drops ALL and adds UserCapabilities.
func UnusedCapabilities() []corev1.Capability {
	return []corev1.Capability{
		"AUDIT_WRITE", "FSETID", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT",
	}
}
