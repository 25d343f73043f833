//go:build !unix

package command

import "github.com/unip-knative/unip/cmd/internal/exit"

// become refuses: functions need Unix.
func become(string, []string) error {
	return exit.Errorf(exit.NotServable, "unip dev runs on Linux and macOS: a function's worker processes need Unix")
}
