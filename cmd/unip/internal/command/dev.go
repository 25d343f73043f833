package command

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/internal/exit"
)

// devProgram carries `unip dev` out.
const devProgram = "unip-dev"

func devCommand() *cobra.Command {
	return dev.Command(func(*cobra.Command, *dev.Options) error {
		program, err := findDev()
		if err != nil {
			return err
		}
		args := os.Args[slices.Index(os.Args, "dev")+1:] // cobra has found it there
		return become(program, append([]string{devProgram}, args...))
	})
}

// findDev is the program beside this one, else in PATH.
func findDev() (string, error) {
	if own, err := os.Executable(); err == nil {
		if own, err = filepath.EvalSymlinks(own); err == nil {
			if p, err := exec.LookPath(filepath.Join(filepath.Dir(own), devProgram)); err == nil {
				return p, nil
			}
		}
	}
	p, err := exec.LookPath(devProgram)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", exit.Errorf(exit.NotServable, "the program %s is missing, beside unip and in PATH; "+
			"`make build` in unip's repository makes both, and a release has both", devProgram)
	}
	return filepath.Abs(p)
}
