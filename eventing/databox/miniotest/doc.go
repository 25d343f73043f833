// Package miniotest gives tests a real S3 server: a MinIO process of their own, on loopback, that
// ends with the test.
//
// The program is the one that UNIP_MINIO names (`make test-integration` sets it); without that,
// `cluster bin minio` of the checkout is asked for it. Where UNIP_SEAWEEDFS names a SeaweedFS
// (`make test-s3`), the server is that instead.
package miniotest
