// Package names gives every generated object its name: deterministic, at most 63 characters where
// Kubernetes wants a DNS label, and injective (two inputs never share a name, also after
// shortening).
package names

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
)

// Names that are the same in every module, so that no manifest may take them.
const (
	// Gateway is the Knative Service (and ServiceAccount) that serves all of a module's
	// APIComponents.
	Gateway = "gateway"
	// ModuleKey is the Secret with which the gateway signs its calls to the MLComponents.
	ModuleKey = "unip-module-key"
	// RunLogs is the Secret with a session (session.json) that may read the logs in the module's
	// run bucket.
	RunLogs = "unip-run-logs"
	// RunKeys is the Secret with the operator's S3 keys for the module's runs, where S3 gives no
	// sessions.
	RunKeys = "unip-run-keys"
	// Controller is unip's controller: its account in SystemNamespace, and in each module the Role
	// and the RoleBinding that let it work there.
	Controller = "unip-controller"
	// Broker carries the events of a module.
	Broker = "default"
)

// SystemNamespace is where unip's controller lives.
const SystemNamespace = "unip-system"

// ConfigMaps of the installation, in SystemNamespace. Whoever may log in to the cluster may read
// them.
const (
	// Config has the operator's unip.yaml, at the key of that name.
	Config     = "unip-config"
	ConfigFile = "unip.yaml"
	// Release is what modules run of unip itself. The controller writes it.
	Release = "unip-release"
)

// EventsHost is the host of the controller's Service that takes events.
func EventsHost(clusterDomain string) string {
	return "unip-events." + SystemNamespace + ".svc." + clusterDomain
}

// What the controller knows a module's key by, and fills it in at.
const (
	ModuleKeyType  = "unified-platform.cs.hse.ru/module-key" // of the Secret
	ModuleKeyLabel = "knative.unified-platform.cs.hse.ru/module-key"
	ModuleKeyData  = "key" // of the Secret's data
)

// ControllerRoleLabel, "true" on a module's RoleBinding, is what the controller finds the modules
// by in which it may work.
const ControllerRoleLabel = "knative.unified-platform.cs.hse.ru/controller-role"

// MaxLabel is the length limit of a DNS label.
const MaxLabel = 63

// SessionSecret is the Secret with one session of a box. There is one for each use and object;
// object is empty where a use has only one. The dots keep it apart from every Secret that a
// manifest can name.
func SessionSecret(box, use, object string) string {
	name := box + ".databox." + use
	if object == "" {
		return name
	}
	return name + "-" + Hash(object)
}

// BoxKeys is the Secret with the operator's S3 keys for a box, where S3 gives no sessions.
func BoxKeys(box string) string { return SessionSecret(box, "keys", "") }

// StageSession is the Secret with the sessions of a run's stage. A run's name has no dots.
func StageSession(run, stage string) string { return run + "." + Hash(stage) + runSession }

// runSession is how the names of runs' Secrets end.
const runSession = ".run.session"

// ChainTrigger is the Trigger that moves a pipeline's runs on.
func ChainTrigger(pipeline string) string { return Shorten(MaxLabel, pipeline, "chain") }

// UploadTrigger is the Trigger of an on-upload rule.
func UploadTrigger(pipeline string, index int) string {
	return Shorten(MaxLabel, pipeline, "upload", strconv.Itoa(index))
}

// NetworkPolicy is the one of a module's pods of a kind: mlcomponent, gateway or stage.
func NetworkPolicy(kind string) string { return "unip-" + kind }

// SchedulePing is the PingSource of a pipeline's schedule.
func SchedulePing(pipeline string) string { return Shorten(MaxLabel, pipeline, "schedule") }

// Managed reports names of Secrets and ConfigMaps that unip makes, or the operator for it: no manifest
// makes one, and no container of a user gets one.
func Managed(name string) bool {
	return strings.HasPrefix(name, "unip-") || strings.Contains(name, ".databox.") ||
		strings.HasSuffix(name, runSession)
}

// Shorten joins the parts with "-". When the result is longer than limit, it is cut and ends in a
// hash over the length-prefixed parts. Where parts may hold a "-" themselves, "a-b","c" and
// "a","b-c" give one name as long as nothing is cut: callers whose parts come from users add Hash
// of them as the last part.
func Shorten(limit int, parts ...string) string {
	s := strings.Join(parts, "-")
	if len(s) <= limit {
		return s
	}
	h := Hash(parts...)
	return strings.TrimRight(s[:limit-len(h)-1], "-.") + "-" + h
}

// Hash is 10 lower-case base32 characters of SHA-256 over the length-prefixed parts.
func Hash(parts ...string) string {
	d := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		d.Write(n[:])
		d.Write([]byte(p))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(d.Sum(nil))[:10])
}
