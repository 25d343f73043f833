// Package boxes reconciles DataBoxes: a bucket of the box's own, a Secret with a limited and
// renewed S3 session for each use that the module has of the box (spec.sessions), and a status that
// says what is wrong.
//
// Every pass looks at everything anew (namespace, bucket's tags, Secrets, whether S3 still takes
// their sessions) and mends what differs, so a deleted Secret, a new S3 server or new admin keys
// need no other care. Nothing is written when nothing differs.
//
// It also answers authors who ask, by an annotation, for a link that writes one object (puts.go).
//
// What it never does: give out or delete a bucket that is not tagged with the box's namespace UID;
// write a long-lived key into a module's namespace; keep the content of a Secret in its cache
// (Secrets are read live, and not watched).
//
// A session that was given out cannot be called back: after a box was deleted or a share withdrawn,
// a copy of it works until it expires, in an hour at most, that of links in two.
package boxes
