// Package worker carries the Python half of an MLComponent: `unip translate` puts it into a
// ConfigMap, from where the user's image runs it.
package worker

import "embed"

//go:embed *.py
var files embed.FS

// Main is the file to run with Python; it reads the others from its own folder.
const Main = "worker.py"

// Files are the sources by name, without folders.
func Files() map[string][]byte {
	all := map[string][]byte{}
	entries, _ := files.ReadDir(".") // it is in the program
	for _, e := range entries {
		all[e.Name()], _ = files.ReadFile(e.Name())
	}
	return all
}
