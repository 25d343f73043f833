package attack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// hostile is a module with one word changed in it.
const hostile = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: userdata, namespace: pu-x-pa-y}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: model, namespace: pu-x-pa-y}
spec:
  image: {existingImageName: IMAGE}
  env: [{name: ENV, value: v}]
  envFrom: [{secretRef: {name: SECRET}}]
  servicePort: PORT
  resourceLimits: {RESOURCE: "1"}
  mlService: {inference: 'INFERENCE', modelBox: userdata, modelPath: MODELPATH}
  connectedBoxes: [{name: userdata, mountS3Box: {s3Path: S3PATH, mountPath: MOUNTPATH}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: train, namespace: pu-x-pa-y}
spec:
  vars: [{name: VARIABLE, mountFrom: {box: userdata, path: MOUNTFROM}, mountTo: MOUNTTO}, {name: out}]
  stages: [{name: STAGE, image: {existingImageName: x/y}, inputs: [{name: VARIABLE}], outputs: [{name: out}]}]
  connectedBoxes: [{name: userdata, mountS3Box: {mountPath: /userdata}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: api, namespace: pu-x-pa-y}
spec: {published: true, mlComponent: {name: model}, restfulApi: {path: APIPATH, auth: {basic: {credentials: CREDENTIALS}}}}
`

// words are those of a module that is fine.
var words = map[string]string{
	"IMAGE": "x/y", "ENV": "A", "SECRET": "s", "PORT": "8002", "RESOURCE": "cpu", "INFERENCE": "f:f",
	"MODELPATH": "/m/model.bin", "S3PATH": "/", "MOUNTPATH": "/m", "VARIABLE": "table",
	"MOUNTFROM": "tables/all.csv", "MOUNTTO": "/data/table", "STAGE": "prepare", "APIPATH": "model",
	"CREDENTIALS": "users",
}

func try(text string) manifest.Diagnostics {
	_, found := translate.Translate([]manifest.File{{Name: "m.yaml", Data: []byte(text)}}, translate.Options{
		Config: installation.Default(), Images: resources.Images{Inference: "ko://x/i", Gateway: "ko://x/g"},
		Worker: map[string][]byte{"worker.py": []byte("#\n")},
	})
	return found
}

func with(word, value string) string {
	text := hostile
	for k, v := range words {
		if k == word {
			v = value
		}
		text = strings.ReplaceAll(text, k, v)
	}
	return text
}

// refused wants an error that says where, at once.
func refused(t *testing.T, name, text string) {
	t.Helper()
	start := time.Now()
	found := try(text)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%s: took %s", name, took)
	}
	if !found.Failed() {
		t.Errorf("%s is taken; notes: %v", name, found)
	}
}

func TestManifestsThatAreFine(t *testing.T) {
	t.Parallel()
	if found := try(with("", "")); found.Failed() {
		t.Fatalf("the module that the others are made of is refused: %v", found)
	}
}

// Words in a manifest that would lead to others' files, to unip's own objects, or out of a
// container's limits.
func TestManifestWords(t *testing.T) {
	t.Parallel()
	cases := []struct{ word, value string }{
		{"MODELPATH", "/m/users/"}, {"MODELPATH", "/m/users"}, {"MODELPATH", "/m/users/bob/file_groups/in/secret.csv"},
		{"MODELPATH", "/m/../users/x"}, {"MODELPATH", "/m/"}, {"MODELPATH", "/m"}, {"MODELPATH", "/etc/passwd"},
		{"MODELPATH", "m/model.bin"}, {"S3PATH", "users/bob"}, {"S3PATH", "/users/bob/file_groups"},
		{"S3PATH", "../../other"}, {"S3PATH", "a/../users"},
		{"MODELPATH", "/proc/model.bin"}, {"MODELPATH", "/unip/worker/x"}, {"MODELPATH", "/var/run/secrets/x"},
		{"MODELPATH", "/dev/shm/x"}, {"MOUNTPATH", "relative"},
		{"MOUNTFROM", "users/bob/file_groups/in/secret.csv"}, {"MOUNTFROM", "users/"}, {"MOUNTFROM", "../x"},
		{"MOUNTFROM", "a/../users/bob"}, {"MOUNTFROM", "/users/x"},
		{"MOUNTTO", "/"}, {"MOUNTTO", "/proc"}, {"MOUNTTO", "/unip/session"}, {"MOUNTTO", "/var/run/secrets/x"},
		{"MOUNTTO", "/etc"}, {"MOUNTTO", "a/b"}, {"MOUNTTO", "/a/../etc"},
		{"IMAGE", `"x/y\nprivileged: true"`}, {"IMAGE", `"x y"`}, {"IMAGE", "ko://example.org/x y"}, {"IMAGE", `""`},
		{"ENV", "UNIP_PIPELINE_X"}, {"ENV", "K_SINK"}, {"ENV", "PORT"}, {"ENV", `"A=B"`}, {"ENV", `"A\nB"`},
		{"ENV", `""`},
		{"SECRET", "unip-module-key"}, {"SECRET", "userdata.databox.write"}, {"SECRET", "userdata.databox.read"},
		{"SECRET", "../x"}, {"CREDENTIALS", "unip-module-key"}, {"CREDENTIALS", "../x"},
		{"CREDENTIALS", "userdata.databox.read"},
		{"INFERENCE", "os; import x:f"}, {"INFERENCE", "f:f --socket=/x"}, {"INFERENCE", "f"}, {"PORT", "0"},
		{"PORT", "70000"}, {"PORT", "8012"}, {"PORT", "-1"},
		{"RESOURCE", "hostPath"}, {"VARIABLE", `"../x"`}, {"VARIABLE", `"a b"`}, {"VARIABLE", `"$(X)"`},
		{"STAGE", "../x"}, {"STAGE", "A"}, {"APIPATH", "../x"}, {"APIPATH", `"a b"`}, {"APIPATH", "healthz"},
		{"APIPATH", "files/x"}, {"APIPATH", `"%2e"`},
	}
	for _, c := range cases {
		refused(t, c.word+" "+c.value, with(c.word, c.value))
	}
}

// Objects that are no module's to bring: rights, kinds of the whole cluster, other namespaces, the
// module's Namespace itself.
func TestManifestObjects(t *testing.T) {
	t.Parallel()
	object := func(apiVersion, kind, name, namespace string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: %s}\n", apiVersion, kind, name,
			namespace)
	}
	const rbac, own = "rbac.authorization.k8s.io/v1", "pu-x-pa-y"
	for _, text := range []string{
		object(rbac, "ClusterRoleBinding", "pwn", `""`) +
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: User, name: eve}]\n",
		object(rbac, "ClusterRole", "pwn", `""`), object(rbac, "Role", "pwn", own),
		object(rbac, "RoleBinding", "pwn", own), object(rbac, "RoleBinding", "unip-controller", own),
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: pu-x-pa-y, labels: {pod-security.kubernetes.io/enforce: privileged}}\n",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n",
		object("v1", "Secret", "unip-s3", "unip-system"), object("v1", "ConfigMap", "unip-config", "unip-system"),
		object("apps/v1", "DaemonSet", "miner", "kube-system"), object("v1", "Pod", "x", "default"),
		object("v1", "PersistentVolume", "pv", `""`), object("v1", "Node", "n", `""`),
		object("storage.k8s.io/v1", "StorageClass", "s", `""`),
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "databoxes.unified-platform.cs.hse.ru", `""`),
		object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "w", `""`),
		object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "unip-runs-user", `""`),
		object("apiregistration.k8s.io/v1", "APIService", "v1.x", `""`),
		object("scheduling.k8s.io/v1", "PriorityClass", "p", `""`),
		object("certificates.k8s.io/v1", "CertificateSigningRequest", "c", `""`),
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: pwn}}\n",
	} {
		first := strings.ReplaceAll(strings.SplitN(text, "metadata: ", 2)[1], "\n", " ")
		refused(t, strings.SplitN(text, "\n", 3)[1]+" "+first[:min(len(first), 60)], with("", "")+"---\n"+text)
	}
}

// Bytes that are made to take long.
func TestManifestBombs(t *testing.T) {
	t.Parallel()
	aliases := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for i := 'b'; i <= 'k'; i++ {
		aliases += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", i, i, i-1, i-1, i-1, i-1, i-1,
			i-1, i-1, i-1, i-1)
	}
	for name, text := range map[string]string{
		"aliases":            aliases,
		"a cycle":            "apiVersion: unified-platform.cs.hse.ru/v1\nkind: DataBox\nmetadata: {name: a, namespace: n}\nspec: &a {s3DefaultStorage: *a}\n",
		"a depth of 20000":   strings.Repeat("[", 20_000),
		"a depth of 1000000": strings.Repeat("{a: ", 1_000_000),
		"blocks":             strings.Repeat("- ", 50_000),
		"merges":             "a: &a {b: 1}\n" + strings.Repeat("c: {<<: [*a, *a, *a, *a]}\n", 10_000),
		"NULs":               strings.Repeat("\x00", 1<<20),
		"bad UTF-8":          "kind: \xff\xfe",
		"a tag":              "kind: !!python/object/apply:os.system [id]\n",
		"many documents":     strings.Repeat("---\nkind: X\n", 20_000),
	} {
		refused(t, name, text)
	}
}
