package devserver

import "syscall"

// attributes make a group of its own, and end the supervisor when unip dies without having ended
// it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
