// Package pipeline holds the rules of a pipeline's graph: which stages write and read a variable,
// what waits for what, what a run must be given, where a variable lies in a container, and how
// large all of that may be. It is the one place with these rules. translate, unip graph, the
// controller and the gateway ask it, so that what is refused offline is what the cluster refuses,
// too.
//
// A run goes through a chain: its pipeline and those that it continues with. Variables of one name
// are one variable in the whole chain.
//
// Everything here is pure: no client, no clock, and the same chain gives the same answers in the
// same order.
package pipeline

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/folder"
)

// Limits. The CRD of Pipelines has those of one pipeline as well.
const (
	// MaxChain is how many pipelines a run may go through, MaxStages how many stages they have
	// together.
	MaxChain, MaxStages = 16, 64
	// MaxVariables is of one pipeline.
	MaxVariables = 256
	// MaxName and MaxStageName are lengths in bytes: runs, Jobs and Triggers append to these names.
	MaxName, MaxStageName = 40, 40
	// MaxVariableName is a length in bytes.
	MaxVariableName = 63
	// MaxRetries is how many further attempts a stage may be given.
	MaxRetries = 10
)

// DataDir is the folder in a container in which each variable has a folder of its name, unless its
// mountTo says another one.
const DataDir = "/unip/data"

var (
	pipelineName = regexp.MustCompile(fmt.Sprintf(`^[a-z]([-a-z0-9]{0,%d}[a-z0-9])?$`, MaxName-2))
	variableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	notInEnv     = regexp.MustCompile(`[^A-Z0-9]`)
)

// IsName reports whether a pipeline may have the name: a letter, then letters, digits and -, the
// last one no -, MaxName in all.
func IsName(s string) bool { return pipelineName.MatchString(s) }

// IsVariableName reports whether a variable may have the name: a letter, then letters, digits and .
// _ -, MaxVariableName in all.
func IsVariableName(s string) bool { return len(s) <= MaxVariableName && variableName.MatchString(s) }

// UserEnv is the environment variable with the name of the run's user, where the API that started it
// passes that on.
const UserEnv = "UNIP_USER"

// EnvName is the environment variable that holds a variable's path in the container. Two names of
// variables may give one EnvName; translate refuses that within a pipeline.
func EnvName(variable string) string {
	return "UNIP_PIPELINE_" + notInEnv.ReplaceAllString(strings.ToUpper(variable), "_")
}

// Folder is the folder of a variable in the containers of the pipeline that declares it, without a
// slash at its end. A file lies in it under its own name.
func Folder(v runtimev1.Variable) string {
	if v.MountTo != "" {
		return strings.TrimSuffix(v.MountTo, "/")
	}
	return path.Join(DataDir, v.Name)
}

// CheckFolder reports a variable whose folder a container cannot have, by the rules of mountTo: those
// of package folder, but that a folder of its own below DataDir is one, too.
func CheckFolder(v runtimev1.Variable) error {
	check := folder.Check
	if strings.HasPrefix(Folder(v), DataDir+"/") {
		check = folder.CheckClean
	}
	if v.MountTo == "" {
		return check(Folder(v))
	}
	return check(v.MountTo)
}

// Nested reports that the folder of one variable is, or lies in, that of the other. One container
// cannot have both.
func Nested(v, w runtimev1.Variable) bool { return folder.Nested(Folder(v), Folder(w)) }
