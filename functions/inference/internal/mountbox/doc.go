// Package mountbox brings the folders that a component mounts from their boxes in S3, and stores there
// what calls write: it is mounts.Storage. It is apart from package mounts so that a server without S3
// need not carry the client.
//
// What it promises: each file comes whole, of one version, and once, wherever it lies; what is over the
// installation's limit is not begun; nothing of users/ comes. A server that is started again in the same
// pod finds what was brought.
package mountbox
