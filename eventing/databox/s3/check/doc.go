// Package check tries on an S3 server what unip needs of it (package needs), and what strangers try
// with a link or a session. It works in buckets of its own, or below a prefix of one that it is
// given, and takes away what it has made.
//
// What counts is what the server has done, not what it said: an upload link with a header that would
// copy another file has failed the holder when his file has none of it, whatever the status.
package check
