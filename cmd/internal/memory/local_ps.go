//go:build unix && !linux

package memory

// local is the system that this is.
var local system = ps{}
