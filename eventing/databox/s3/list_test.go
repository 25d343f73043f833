package s3_test

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// No key that a server lists makes whoever writes it below a folder leave the folder.
func TestFolderRefusesKeysThatLeaveIt(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"in/../x", "in/..", "in//x", "in/./x", "in/a/../../x", "in//", "out/x", "in/a//",
		"in/a\x00b"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var escaped strings.Builder
			_ = xml.EscapeText(&escaped, []byte(strings.ReplaceAll(key, "\x00", "%00")))
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>` +
				escaped.String() +
				`</Key><Size>1</Size></Contents></ListBucketResult>`))
		}))
		session := databox.Session{Endpoint: server.URL, Region: "us-east-1", Bucket: "b", AccessKeyID: "k",
			SecretAccessKey: "s"}
		c, err := s3.NewClient(session, s3.Static(session))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := s3.Folder(t.Context(), c, "bucket", "in/", 10); !errors.Is(err, s3.ErrNoFolder) {
			t.Errorf("%q: %v, %v", key, all, err)
		}
		server.Close()
	}
}
