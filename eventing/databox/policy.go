package databox

import (
	"encoding/json"
	"fmt"

	"github.com/unip-knative/unip/translate/names"
)

// MaxPolicy is the longest inline session policy in bytes: MinIO and AWS refuse more than 2048 characters.
const MaxPolicy = 2048

// Grant is what a session may do with one bucket.
type Grant struct {
	Bucket string
	Access names.Access
	// Prefix limits the grant to the keys below it; empty is the whole bucket.
	Prefix string
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
	// Condition by operator, then by key.
	Condition map[string]map[string]string `json:",omitempty"`
}

// Policy is the inline policy of a session that may do what the grants say and nothing else: in particular it cannot list buckets, and it
// sees no bucket that is not named. With names.Read objects are listed and read; with names.Write they are also put (also in parts),
// overwritten and deleted. Never in it: making, deleting or configuring a bucket, its tags, its notifications, an object's ACL.
//
// The error says that the policy became longer than MaxPolicy (with long names that are about six buckets).
func Policy(grants ...Grant) (string, error) {
	var p struct {
		Version   string
		Statement []statement
	}
	p.Version = "2012-10-17"
	for _, g := range grants {
		bucket := statement{Effect: "Allow", Action: []string{"s3:GetBucketLocation", "s3:ListBucket"}, Resource: []string{"arn:aws:s3:::" + g.Bucket}}
		objects := statement{Effect: "Allow", Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::" + g.Bucket + "/" + g.Prefix + "*"}}
		if g.Prefix != "" {
			bucket.Action = []string{"s3:ListBucket"}
			bucket.Condition = map[string]map[string]string{"StringLike": {"s3:prefix": g.Prefix + "*"}}
		}
		switch g.Access {
		case names.Read:
		case names.Write:
			if g.Prefix == "" {
				bucket.Action = append(bucket.Action, "s3:ListBucketMultipartUploads")
			}
			objects.Action = append(objects.Action, "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
		default:
			return "", fmt.Errorf("session policy: unknown access %q", g.Access)
		}
		p.Statement = append(p.Statement, bucket, objects)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	if len(b) > MaxPolicy {
		return "", fmt.Errorf("session policy of %d buckets has %d bytes, S3 takes %d", len(grants), len(b), MaxPolicy)
	}
	return string(b), nil
}
