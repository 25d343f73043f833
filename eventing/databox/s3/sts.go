package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/unip-knative/unip/eventing/databox"
)

// maxAnswer bounds what is read of an answer of STS: a session's token has some KiB.
const maxAnswer = 256 << 10

// ask sends a form, signed with the parent's keys. minio-go has a client of STS, which takes no answer
// whose XML names no name space, and Ceph's names none.
func (s STS) ask(ctx context.Context, hc *http.Client, form url.Values) (databox.Session, error) {
	body := strings.ReplaceAll(form.Encode(), "+", "%20") // Ceph takes a "+" in the policy for one
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.Endpoint, "/")+"/",
		strings.NewReader(body))
	if err != nil {
		return databox.Session{}, err
	}
	sum := sha256.Sum256([]byte(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	resp, err := hc.Do(signer.SignV4STS(*req, s.Parent.AccessKeyID, s.Parent.SecretAccessKey, s.Region))
	if err != nil {
		return databox.Session{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return databox.Session{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return databox.Session{}, refusalOf(resp.Status, b)
	}
	var answer struct {
		XMLName xml.Name `xml:"AssumeRoleResponse"`
		Keys    struct {
			AccessKeyID     string    `xml:"AccessKeyId"`
			SecretAccessKey string    `xml:"SecretAccessKey"`
			SessionToken    string    `xml:"SessionToken"`
			Expiration      time.Time `xml:"Expiration"`
		} `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal(b, &answer); err != nil {
		return databox.Session{}, fmt.Errorf("%w: the answer cannot be read: %w", ErrNoSTS, err)
	}
	k := answer.Keys
	return databox.Session{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey, SessionToken: k.SessionToken,
		Expiration: k.Expiration.UTC()}, nil
}

// refusalOf is ErrNoSTS with what the server says, in the form of STS or in that of S3.
func refusalOf(status string, body []byte) error {
	var said struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
		STS     struct {
			Code    string `xml:"Code"`
			Message string `xml:"Message"`
		} `xml:"Error"`
	}
	if err := xml.Unmarshal(body, &said); err != nil || said.Code+said.STS.Code == "" {
		return fmt.Errorf("%w: %s", ErrNoSTS, status)
	}
	return fmt.Errorf("%w: %s: %s", ErrNoSTS, said.Code+said.STS.Code, said.Message+said.STS.Message)
}
