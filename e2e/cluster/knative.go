package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed manifests
var manifests embed.FS

// The rendered parts of a cluster, in the order in which they are applied. Images in them are named
// by digest.
const (
	crdsYAML    = "1-crds.yaml"
	coreYAML    = "2-core.yaml"
	lateYAML    = "3-late.yaml" // objects that Knative's webhooks check
	ingressYAML = "4-ingress.yaml"
	dnsYAML     = "0-coredns.yaml" // with NODE_IP and DNS_IP to be filled in
	netpolYAML  = "0-network-policies.yaml"
)

// renderedModules hold the sources of what is rendered.
var renderedModules = []string{"knative", "coredns", "netpol"}

// rendered is the folder of the rendered parts, named by a hash of all that they are made from.
func rendered(root string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, baseImage)
	for _, d := range append(slices.Clone(renderedModules), "manifests", "tools") {
		sum, err := hashFolder(filepath.Join(root, "e2e", "cluster", d))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, sum)
	}
	return filepath.Join(cacheDir(), "rendered-"+hex.EncodeToString(h.Sum(nil))[:16]), nil
}

// render builds the images of CoreDNS, of what enforces NetworkPolicies, of Knative and the ingress
// with ko and pushes them, unless that has been done; the instance's registry must run. step is
// told of each part.
func (i instance) render(ctx context.Context, step func(string, func() error) error) error {
	out, err := rendered(i.root)
	if err != nil || exists(out) {
		return err
	}
	tmp := out + ".part"
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o755)); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"images pause and base", func() error { return i.pushBasics(ctx) }},
		{"image CoreDNS", func() error {
			return i.renderEmbedded(ctx, "coredns", "coredns.yaml",
				filepath.Join(tmp, dnsYAML))
		}},
		{"image that enforces NetworkPolicies", func() error {
			return i.renderEmbedded(ctx, "netpol", "network-policies.yaml", filepath.Join(tmp, netpolYAML))
		}},
		{"images of Knative Serving and Eventing", func() error { return i.renderKnative(ctx, tmp) }},
		{"image of the ingress", func() error {
			return i.renderEmbedded(ctx, "knative", "ingress.yaml", filepath.Join(tmp, ingressYAML))
		}},
	} {
		if err := step(s.name, s.do); err != nil {
			return err
		}
	}
	return os.Rename(tmp, out)
}

// renderEmbedded resolves the ko:// references of one embedded manifest.
func (i instance) renderEmbedded(ctx context.Context, module, manifest, out string) error {
	b, err := manifests.ReadFile("manifests/" + manifest)
	if err != nil {
		return err
	}
	in := out + ".in"
	defer os.Remove(in)
	if err := os.WriteFile(in, b, 0o644); err != nil {
		return err
	}
	return i.ko(ctx, module, in, out)
}

// ko resolves a file's ko:// references in one of the nested modules, inside the network namespace,
// where the registry's name is known.
func (i instance) ko(ctx context.Context, module, in, out string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := i.command(ctx, "ko", "resolve", "--preserve-import-paths", "--platform=linux/amd64", "--sbom=none", "-f", in)
	cmd.Dir = filepath.Join(i.root, "e2e", "cluster", module)
	config := filepath.Join(i.dir(), "ko.yaml")
	if err := os.WriteFile(config, []byte("defaultLdflags: [-s, -w]\n"), 0o644); err != nil {
		return err
	}
	cmd.Env = append(goEnv(), "KO_CONFIG_PATH="+config, "KO_DOCKER_REPO="+registryName+"/cluster",
		"KO_DEFAULTBASEIMAGE="+baseImage, "GOPROXY=off")
	cmd.Stdout = f
	if err := logged(cmd, "ko-"+strings.TrimSuffix(filepath.Base(out), ".yaml")); err != nil {
		return err
	}
	return f.Close()
}

// command is a command inside the network namespace, with its names.
func (i instance) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if bins, err := binaries(i.root); err == nil {
		for _, dir := range bins {
			if p := filepath.Join(dir, name); exists(p) {
				name = p
				break
			}
		}
	}
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", i.name(), name}, args...)...)
}

// renderKnative renders Knative's own YAML: images resolved, made small for a small node, split by
// order of application.
func (i instance) renderKnative(ctx context.Context, dir string) error {
	work, err := os.MkdirTemp("", "unip-knative")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	all, err := knativeYAML(ctx, filepath.Join(i.root, "e2e", "cluster", "knative"))
	if err != nil {
		return err
	}
	in := filepath.Join(work, "in.yaml")
	if err := os.WriteFile(in, all, 0o644); err != nil {
		return err
	}
	if err := i.ko(ctx, "knative", in, filepath.Join(work, "resolved.yaml")); err != nil {
		return err
	}
	patches, err := manifests.ReadFile("manifests/kustomization.yaml")
	if err != nil {
		return err
	}
	if err := errors.Join(os.Remove(in), os.WriteFile(filepath.Join(work, "kustomization.yaml"), patches,
		0o644)); err != nil {
		return err
	}
	bins, err := binaries(i.root)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(bins["kube"], "kubectl"), "kustomize", work)
	cmd.Stdout = &out
	if err := logged(cmd, "kustomize"); err != nil {
		return err
	}
	for name, docs := range split(out.String()) {
		text := strings.Join(docs, "\n---\n") + "\n"
		if strings.Contains(text, "ko://") {
			return fmt.Errorf("%s still has ko:// references", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

var (
	firstKinds = regexp.MustCompile(`(?m)^kind: (Namespace|CustomResourceDefinition)$`)
	namespaces = regexp.MustCompile(`(?m)^kind: Namespace$`)
	lateGroups = regexp.MustCompile(`(?m)^apiVersion: (networking\.internal|caching\.internal)`)
)

// split sorts rendered documents into the parts.
func split(all string) map[string][]string {
	parts := map[string][]string{}
	for doc := range strings.SplitSeq(all, "\n---\n") {
		doc = strings.TrimSpace(doc)
		switch {
		case doc == "":
		case firstKinds.MatchString(doc):
			if namespaces.MatchString(doc) {
				parts[crdsYAML] = slices.Insert(parts[crdsYAML], 0, doc)
			} else {
				parts[crdsYAML] = append(parts[crdsYAML], doc)
			}
		case lateGroups.MatchString(doc):
			parts[lateYAML] = append(parts[lateYAML], doc)
		default:
			parts[coreYAML] = append(parts[coreYAML], doc)
		}
	}
	return parts
}

// knativeSources are the YAML files of Knative, by module; "!" takes files out again. (Module zips
// leave out symlinks, so the CRDs that serving links to come from the modules they live in.)
var knativeSources = []struct {
	module string
	files  []string
}{
	{"knative.dev/serving", []string{
		"config/core/300-resources/*.yaml", "config/core/*.yaml", "config/core/200-roles/*.yaml",
		"config/core/configmaps/*.yaml",
		"config/core/deployments/*.yaml", "config/core/webhooks/*.yaml", "!*-hpa.yaml",
	}},
	{"knative.dev/networking", []string{
		"config/certificate.yaml", "config/domain-claim.yaml", "config/ingress.yaml", "config/serverlessservice.yaml",
		"config/config-network.yaml",
	}},
	{"knative.dev/caching", []string{"config/image.yaml"}},
	{"knative.dev/eventing", []string{
		"config/core/resources/*.yaml", "config/core/*.yaml", "config/core/roles/*.yaml",
		"config/core/configmaps/*.yaml",
		"config/core/deployments/*.yaml", "config/core/webhooks/*.yaml",
		"config/channels/in-memory-channel/resources/*.yaml", "config/channels/in-memory-channel/*.yaml",
		"config/channels/in-memory-channel/configmaps/*.yaml", "config/channels/in-memory-channel/deployments/*.yaml",
		"config/channels/in-memory-channel/roles/*.yaml", "config/channels/in-memory-channel/webhooks/*.yaml",
		"config/brokers/mt-channel-broker/deployments/*.yaml", "config/brokers/mt-channel-broker/roles/*.yaml",
		"third_party/eventing-integrations-latest/*.yaml",
		"!*hpa.yaml", "!request-reply.yaml", "!200-request-reply-serviceaccount.yaml",
		"!request-reply-clusterrole.yaml",
	}},
}

// knativeYAML gathers them out of the module cache, as one stream.
func knativeYAML(ctx context.Context, module string) ([]byte, error) {
	var all []byte
	for _, s := range knativeSources {
		b, err := yamlOf(ctx, module, s.module, s.files)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// yamlOf gathers YAML files of a module out of the module cache, as one stream; dir is the nested
// module that requires it.
func yamlOf(ctx context.Context, dir, module string, patterns []string) ([]byte, error) {
	var at, all bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir, cmd.Env, cmd.Stdout = dir, goEnv(), &at
	if err := logged(cmd, "go-list"); err != nil {
		return nil, err
	}
	files, err := matching(strings.TrimSpace(at.String()), patterns)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", module, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		all.Write(b)
		all.WriteString("\n")
	}
	return all.Bytes(), nil
}

// matching expands patterns below a folder; each must match something.
func matching(dir string, patterns []string) ([]string, error) {
	var files []string
	for _, p := range patterns {
		if not, ok := strings.CutPrefix(p, "!"); ok {
			var bad error
			files = slices.DeleteFunc(files, func(f string) bool {
				match, err := filepath.Match(not, filepath.Base(f))
				bad = errors.Join(bad, err)
				return match
			})
			if bad != nil {
				return nil, fmt.Errorf("%s: %w", p, bad)
			}
			continue
		}
		found, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
