//go:build unix

package command

import (
	"os"
	"syscall"
)

// become puts another program in the place of this one: signals and exit code are its own.
func become(program string, args []string) error { return syscall.Exec(program, args, os.Environ()) }
