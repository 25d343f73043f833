// Package storage is the S3 server of unip dev: real files in a folder, on loopback.
//
// A box's objects are the files below .unip/boxes/<box>, so that one can look at them, and put some
// there by hand. The server is versitygw's; what it gives to others is what MinIO gives in a
// cluster, but for sessions of STS (there is one pair of keys) and lifecycle.
//
// What comes into being is told by Objects, whoever made it, once for each version of it. What was
// told and dealt with is kept in a file, so that this holds over restarts and kills as well.
package storage
