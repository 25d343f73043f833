// Command unip turns the manifests of a module of the unified platform into objects that run it on
// Knative. Installed as kubectl-unip it is a plugin of kubectl.
package main

//go:generate go test ./internal/reference -run TestReference -update

import (
	"os"

	"github.com/unip-knative/unip/cmd/unip/internal/command"
	_ "github.com/unip-knative/unip/cmd/unip/internal/pace" // by being there
	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

// Set by the linker: the commit, and of a release its version, its images, and its unip.yaml.
var (
	commit                       = "unknown"
	version                      = "development"
	imageInference, imageGateway string
	unipYAML                     string
)

func main() { os.Exit(run()) }

func run() int {
	return int(command.Run(release.Build{
		Version: version, Commit: commit, Inference: imageInference, Gateway: imageGateway,
		Installation: unipYAML,
	}))
}
