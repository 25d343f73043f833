package databox_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/names"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	const want = `{"Version":"2012-10-17","Statement":[` +
		`{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:ListBucket"],"Resource":["arn:aws:s3:::b"]},` +
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]}]}`
	got, err := databox.Policy(databox.Grant{Bucket: "b", Access: names.Read})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := databox.Policy(databox.Grant{Bucket: "b", Access: "admin"}); err == nil {
		t.Error("an unknown access is no error")
	}
}

func TestPolicyStaysBelowTheServersLimit(t *testing.T) {
	t.Parallel()
	long := databox.BucketName(strings.Repeat("n", 63), strings.Repeat("b", 63))
	var grants []databox.Grant
	for range 4 { // what is promised: at least four boxes of the longest names
		grants = append(grants, databox.Grant{Bucket: long, Access: names.Write})
		if p, err := databox.Policy(grants...); err != nil || len(p) > databox.MaxPolicy {
			t.Errorf("%d buckets: %d bytes, %v", len(grants), len(p), err)
		}
	}
	for range 10 {
		grants = append(grants, databox.Grant{Bucket: long, Access: names.Write})
	}
	if _, err := databox.Policy(grants...); err == nil {
		t.Error("a policy over the limit is no error")
	}
}
