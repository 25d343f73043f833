//go:build unix && !linux

package engine

// Adopt does nothing: only Linux lets a process be the parent of what others leave behind.
func Adopt() (end func()) { return func() {} }
