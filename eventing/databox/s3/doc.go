// Package s3 is a box at work: a client that follows its session file, the download of an object,
// sessions of S3's STS, a bucket's notifications, its claim and its end, and what S3's answers
// mean.
//
// The words that it uses (bucket names, grants, sessions) are package databox's.
package s3
