package s3_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// What servers answer to AssumeRole, as recorded. Ceph names no name space and counts nanoseconds.
func TestAnswersOfSTS(t *testing.T) {
	t.Parallel()
	const keys = `<Credentials><AccessKeyId>lbir8IK5</AccessKeyId><Expiration>2096-11-30T04:02:54.966276373Z</Expiration>` +
		`<SecretAccessKey>COFXW7FI</SecretAccessKey><SessionToken>n/UH0FDA</SessionToken></Credentials>`
	for name, c := range map[string]struct {
		status    int
		body, err string
	}{
		"Ceph": {200, `<AssumeRoleResponse><AssumeRoleResult>` + keys + `<AssumedRoleUser><Arn>arn:aws:sts:::assumed-role/unip/unip` +
			`</Arn></AssumedRoleUser><PackedPolicySize>0</PackedPolicySize></AssumeRoleResult></AssumeRoleResponse>`, ""},
		"AWS, MinIO, SeaweedFS": {200, `<?xml version="1.0"?><AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">` +
			`<AssumeRoleResult>` + keys + `</AssumeRoleResult></AssumeRoleResponse>`, ""},
		"SeaweedFS says no": {400, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>` +
			`<Code>MissingParameter</Code><Message>RoleSessionName is required</Message></Error></ErrorResponse>`,
			"MissingParameter: RoleSessionName is required"},
		"Ceph says no": {403, `<Error><Code>AccessDenied</Code><Message></Message><RequestId>tx0</RequestId></Error>`,
			"AccessDenied"},
		"a proxy says no":   {502, `<html><body>Bad Gateway</body></html>`, "502 Bad Gateway"},
		"an answer of none": {200, `<ListAllMyBucketsResult/>`, "cannot be read"},
		"no keys":           {200, `<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>`, "no keys"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ParseForm() != nil || r.Form.Get("RoleSessionName") == "" || r.Form.Get("Policy") != "{}" ||
				!strings.Contains(r.Header.Get("Authorization"), "/us-east-1/sts/aws4_request") {
				t.Errorf("%s: asked for %v", name, r.Form)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		keys := s3.Keys{AccessKeyID: "a", SecretAccessKey: "b"}
		sts := s3.STS{Endpoint: server.URL, Region: "us-east-1", Parent: keys}
		got, err := sts.Session(t.Context(), server.Client(), "{}", time.Hour)
		server.Close()
		switch {
		case c.err == "" && (err != nil || got.AccessKeyID != "lbir8IK5" || got.SecretAccessKey != "COFXW7FI" ||
			got.SessionToken != "n/UH0FDA" || got.Expiration.Year() != 2096):
			t.Errorf("%s: %v, %v", name, got, err)
		case c.err != "" && (!errors.Is(err, s3.ErrNoSTS) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Ceph takes a "+" of the form for one, and no policy with a colon in a path.
func TestPoliciesAsCephReadsThem(t *testing.T) {
	t.Parallel()
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = string(b)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	policy, err := databox.Policy(databox.Grant{Bucket: "b", Access: databox.Read, Keys: []string{"a b+12:30"}})
	if err != nil {
		t.Fatal(err)
	}
	sts := s3.STS{Endpoint: server.URL, Region: "us-east-1", Parent: s3.Keys{AccessKeyID: "a", SecretAccessKey: "b"},
		NoColons: true}
	if _, err := sts.Session(t.Context(), server.Client(), policy, time.Hour); !errors.Is(err, s3.ErrNoSTS) {
		t.Error(err)
	}
	if strings.Contains(asked, "+") || !strings.Contains(asked, "b%2Fa%20b%2B12%3F30") {
		t.Errorf("asked for %s", asked)
	}
}
