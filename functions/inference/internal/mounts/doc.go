// Package mounts stores what calls write into folders of the function's container: the entries of
// connectedBoxes that are mounted and not read-only.
//
// What it promises: a file that was closed while a call ran is stored under the entry's s3Path before
// that call is answered, or the call fails and says which file and why; a file that is still being
// written is not; a file that several calls write is the last writer's. Nothing but regular files with
// one name is opened, none outside of the folders. Nothing is stored below users/, at the key of a
// model, or for a call that the gateway has not signed.
//
// The kernel tells which files have been closed (inotify), so that a call costs what it has written,
// not what lies there. It tells not by whom: where unsigned calls are answered as well, these and
// signed ones never run at the same time (turns).
//
// It does not know S3: Storage does.
package mounts
