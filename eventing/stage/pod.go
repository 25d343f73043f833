package stage

import "github.com/unip-knative/unip/eventing/component"

// Containers of a stage's pod, in the order in which they run.
const (
	// FetchContainer brings the stage's inputs.
	FetchContainer = "fetch"
	// FunctionContainer is the user's. It has the same name as in the pod of an MLComponent.
	FunctionContainer = component.FunctionContainer
	// PublishContainer stores the stage's outputs.
	PublishContainer = "publish"
)

// formerFunctionContainer was the name of the user's container. Pods that a controller of then has
// made have it still when the controller of now looks at them.
const formerFunctionContainer = "stage"

// IsFunction reports whether a container of that name in a stage's pod is the user's.
func IsFunction(container string) bool {
	return container == FunctionContainer || container == formerFunctionContainer
}

// AttemptLabel of a Job and its pod is the number of the stage's attempt that they are, from 1.
const AttemptLabel = "knative.unified-platform.cs.hse.ru/attempt"
