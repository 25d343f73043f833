// Package databox holds the words of a box: the bucket's name and tags, the keys of users' files,
// the places in a box, what a session may do, the format of the file that a component reads its
// session from, and how full a box is.
//
// It does nothing: package s3 below it talks with the server. Whoever writes sessions, reads them
// or only names a place shares it.
package databox
