#!/usr/bin/env bash
# The example is right, and a mistake in it is told, by the tools that people check and edit YAML with. CHECK is kubeconform, LANGUAGE_SERVER yaml-language-server.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bin/unip schema --dir "$dir"
sed 's/published: true/publishd: true/' examples/digits/manifests/api.yaml > "$dir/wrong.yaml"

conform() { "$CHECK" -strict -summary -schema-location "$dir/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json" "$@"; }
edit() { node e2e/schema/diagnose.mjs "$LANGUAGE_SERVER" "$dir/all.json" "$@"; }
conform examples/digits/manifests/
edit examples/digits/manifests/*.yaml
if out=$(conform "$dir/wrong.yaml"); then echo "kubeconform takes a wrong manifest: $out" >&2; exit 1; fi
grep -q "additional properties 'publishd' not allowed" <<<"$out"
if out=$(edit "$dir/wrong.yaml"); then echo "yaml-language-server takes a wrong manifest: $out" >&2; exit 1; fi
[ "$(grep -c 'Property publishd is not allowed' <<<"$out")" = "$(grep -c publishd "$dir/wrong.yaml")" ] || { echo "yaml-language-server does not tell all: $out" >&2; exit 1; }
echo "kubeconform and yaml-language-server: the example is right, a mistake in it is told at each place"
