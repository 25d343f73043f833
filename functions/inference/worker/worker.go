// Package worker carries worker.py, the Python half of an MLComponent: `unip translate` puts it into a ConfigMap, from where the user's image runs it.
package worker

import _ "embed"

// Source is worker.py.
//
//go:embed worker.py
var Source []byte
