// Package files brings the FILE values of a call: those of its inputs from the caller's files in a
// box into a folder that the function reads, those of its outputs from descriptors that the
// function's process has handed over into the caller's files.
//
// What it promises: a call reaches the files of its own caller only, in boxes that the component is
// connected to; the function gets each file whole, under its own name, of one version; no path that
// the function names is ever opened here; nothing that the function returns is written over; what
// lies on the disk for a call is bounded, and gone after it. An anonymous caller has no files.
//
// It does not know S3: Storage does.
package files
