// Package databox knows how a box lies in S3: the bucket's name, the keys of users' files, the session file that a component reads its
// credentials from, and a client that follows that file when it is renewed.
//
// It is the one place that the controller (which writes sessions) and the functions (which read them) share.
package databox
