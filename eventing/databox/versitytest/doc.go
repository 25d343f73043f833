// Package versitytest gives tests an S3 server that is no MinIO and has no STS: versitygw over a
// folder, as its own program runs it, in a process of its own on loopback.
//
// The process is the test's program once more, which becomes the server before any test begins. All of
// it has the build tag integration.
package versitytest
