package uploads

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const token = "s3cret/+=token"

// taken is a request, whose body tells nothing, so that no inbox is needed.
func taken(t *testing.T, r *Receiver, method, path string, header http.Header) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{"Event":"s3:TestEvent"}`))
	for k, v := range header {
		req.Header[k] = v
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Result()
}

func basic(user, password string) http.Header {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header
}

// The token comes in three ways, and in no other.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := &Receiver{Token: func() string { return token }}
	says := func(authorization string) http.Header { return http.Header{"Authorization": {authorization}} }
	bearer := says("Bearer " + token)
	for name, c := range map[string]struct {
		path   string
		header http.Header
		want   int
	}{
		"a Bearer":                        {"/v1/minio", bearer, http.StatusNoContent},
		"the password of Basic":           {"/v1/aws", basic("unip", token), http.StatusNoContent},
		"of nobody":                       {"/v1/aws", basic("", token), http.StatusNoContent},
		"the end of the path":             {"/v1/versitygw/" + token, nil, http.StatusNoContent},
		"encoded":                         {"/v1/ceph/s3cret%2F%2B=token", nil, http.StatusNoContent},
		"none":                            {"/v1/minio", nil, http.StatusUnauthorized},
		"an empty end":                    {"/v1/minio/", nil, http.StatusUnauthorized},
		"a part of it":                    {"/v1/minio/s3cret", nil, http.StatusUnauthorized},
		"with more behind":                {"/v1/minio/" + token + "/", nil, http.StatusUnauthorized},
		"in the query":                    {"/v1/minio?token=" + token, nil, http.StatusUnauthorized},
		"as the name of Basic":            {"/v1/minio", basic(token, ""), http.StatusUnauthorized},
		"a wrong Bearer":                  {"/v1/minio", says("Bearer x" + token), http.StatusUnauthorized},
		"an empty Bearer":                 {"/v1/minio", says("Bearer "), http.StatusUnauthorized},
		"another way":                     {"/v1/minio", says("Token " + token), http.StatusUnauthorized},
		"of a server that is unknown":     {"/v1/other/" + token, bearer, http.StatusNotFound},
		"at another place":                {"/v2/minio", bearer, http.StatusNotFound},
		"at the root":                     {"/" + token, bearer, http.StatusNotFound},
		"a wrong Bearer, and a good path": {"/v1/minio/" + token, says("Bearer x"), http.StatusNoContent},
	} {
		res := taken(t, r, http.MethodPost, c.path, c.header)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
		}
		if asks := res.Header.Get("WWW-Authenticate") != ""; asks != (c.want == http.StatusUnauthorized) {
			t.Errorf("%s: asks for a password: %v", name, asks)
		}
	}
	none := &Receiver{Token: func() string { return "" }}
	for _, path := range []string{"/v1/minio", "/v1/minio/"} {
		if res := taken(t, none, http.MethodPost, path, http.Header{"Authorization": {"Bearer "}}); res.StatusCode !=
			http.StatusUnauthorized {
			t.Errorf("without a token in the Secret %s answers %d", path, res.StatusCode)
		}
	}
}

// Who looks whether somebody is there gets an answer that tells nothing.
func TestLooks(t *testing.T) {
	t.Parallel()
	r := &Receiver{Token: func() string { return token }}
	for path, want := range map[string]int{"/": 200, "/v1/minio": 200, "/v1/seaweedfs": 200, "/v1/aws/x": 200,
		"/v1/other": 404, "/metrics": 404} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if res := taken(t, r, method, path, nil); res.StatusCode != want {
				t.Errorf("%s %s: %d", method, path, res.StatusCode)
			}
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if res := taken(t, r, method, "/v1/minio/"+token, nil); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

// sns is Amazon's side of the question.
type sns struct {
	asked  []string
	answer func() (*http.Response, error)
}

func (s *sns) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Method+" "+r.URL.String())
	return s.answer()
}

func status(code int, location string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: http.StatusText(code), Body: http.NoBody,
			Header: http.Header{"Location": {location}}}, nil
	}
}

// A subscription is confirmed for the operator's topic, at SNS, and nothing follows where SNS might
// send one on.
func TestSubscribe(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	const topic, at = "arn:aws:sns:eu-central-1:1:unip", "https://sns.eu-central-1.amazonaws.com/?Token=2336secret"
	for name, c := range map[string]struct {
		topic, at string
		answer    func() (*http.Response, error)
		asked     int
		want      int
	}{
		"the operator's":        {topic, at, status(200, ""), 1, http.StatusNoContent},
		"another topic":         {"arn:aws:sns:eu-central-1:2:evil", at, status(200, ""), 0, http.StatusNoContent},
		"another place":         {topic, "https://169.254.169.254/latest", status(200, ""), 0, http.StatusNoContent},
		"SNS does not want":     {topic, at, status(403, ""), 1, http.StatusServiceUnavailable},
		"SNS sends one on":      {topic, at, status(302, "http://169.254.169.254/"), 1, http.StatusServiceUnavailable},
		"SNS cannot be reached": {topic, at, func() (*http.Response, error) { return nil, errors.New("no way") }, 1, 503},
	} {
		s := &sns{answer: c.answer}
		r := &Receiver{Token: func() string { return token }, Topic: func() string { return topic }, SNS: s}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/aws/"+token, strings.NewReader(
			`{"Type":"SubscriptionConfirmation","TopicArn":"`+c.topic+`","SubscribeURL":"`+c.at+
				`","Token":"2336secret"}`))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != c.want || len(s.asked) != c.asked || c.asked == 1 && s.asked[0] != "GET "+at {
			t.Errorf("%s: %d, asked %q", name, w.Code, s.asked)
		}
	}
	if text := log.String(); strings.Contains(text, "2336secret") || strings.Contains(text, token) ||
		!strings.Contains(text, "s3.notificationARN") {
		t.Errorf("the log: %s", text)
	}
}

// Nothing of a request with the token in its path is in the log.
func TestTokensAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	r := &Receiver{Token: func() string { return token },
		Inbox: func(context.Context) (Inbox, error) { return Inbox{}, errors.New("no inbox") }}
	for _, body := range []string{"nonsense", `{"Records":[{"eventName":"s3:ObjectCreated:Put","eventTime":"` +
		time.Now().Format(time.RFC3339) + `","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}`} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/versitygw/"+token,
			strings.NewReader(body))
		w := httptest.NewRecorder()
		if r.ServeHTTP(w, req); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d", w.Code)
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), "s3cret") {
		t.Errorf("%s", log.String())
	}
}
