// Package release tests what `make release` has left in dist/, and nothing else of this checkout:
// `make release-check` without a cluster, `make e2e-install` on a fresh one.
package release
