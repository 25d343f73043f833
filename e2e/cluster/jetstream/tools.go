//go:build tools

package tools

import (
	_ "knative.dev/eventing-natss/cmd/jetstream/controller"
	_ "knative.dev/eventing-natss/cmd/jetstream/dispatcher"
)
