// Package gateway is a client of the HTTP API that a module's gateway serves: predict, files,
// pipelines and their runs. It is what people with a user name and a password, or a token, have; it
// needs no access to the cluster.
package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 32 << 20

// Client calls one module.
type Client struct {
	// URL of the module: https://<host>/<namespace>.
	URL string
	// User and Password are for HTTP Basic, Token is one of the module's OpenID Connect issuer,
	// which stands in their place when it is not empty.
	User, Password string
	Token          string
	// Host overrides the HTTP Host header, for a cluster whose names are not in DNS.
	Host string
	HTTP *http.Client
	// Slow is called when an answer has not begun after a while: the module may have to wake up. nil
	// is not.
	Slow func()
}

// slowAfter is when an answer is slow.
const slowAfter = 2 * time.Second

// Error is an answer that says no (RFC 9457).
type Error struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	// Errors are the single faults of the request.
	Errors []Fault `json:"errors"`
	// RetryAfter is when the server wants to be asked again, 0 when it has not said so.
	RetryAfter time.Duration `json:"-"`
}

// Fault is one mistake in a request's body; Pointer is its place (RFC 6901).
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is one line, in printable characters.
func (e *Error) Error() string {
	text := http.StatusText(e.Status)
	switch {
	case e.Detail != "" && e.Title != "":
		text = e.Title + ": " + e.Detail
	case e.Title+e.Detail != "":
		text = e.Title + e.Detail
	}
	return fmt.Sprintf("%s (%d)", printable.Line(text), e.Status)
}

// Passes reports that the same call may be answered later: the module is starting, busy, or not
// reached.
func Passes(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return err != nil && !errors.Is(err, context.Canceled)
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// call makes one call below the module's URL; path is escaped. The body of a good answer is the
// caller's to close.
func (c *Client) call(
	ctx context.Context, method, path string, query url.Values, body any, header map[string]string,
) (*http.Response, error) {
	u := strings.TrimSuffix(c.URL, "/") + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	var b io.Reader
	if body != nil {
		j, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		b = bytes.NewReader(j)
	}
	h := http.Header{}
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		h.Set(k, v)
	}
	return c.send(ctx, method, u, b, h)
}

// send makes one call with the caller's credentials. An answer that says no is an *Error.
func (c *Client) send(
	ctx context.Context, method, u string, body io.Reader, header http.Header,
) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	switch {
	case c.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.Token)
	case c.User != "":
		req.SetBasicAuth(c.User, c.Password)
	}
	if c.Host != "" {
		req.Host = c.Host
	}
	if c.Slow != nil {
		slow := time.AfterFunc(slowAfter, c.Slow)
		defer slow.Stop()
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, refusal(res)
	}
	return res, nil
}

// maxProblem bounds what is read of an answer that says no, maxText what is shown of one that is no
// problem (RFC 9457) but text.
const maxProblem, maxText = 1 << 20, 300

func refusal(res *http.Response) *Error {
	e := &Error{}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if json.Unmarshal(b, e) != nil && strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		e = &Error{Detail: strings.ToValidUTF8(strings.TrimSpace(string(b[:min(len(b), maxText)])), "")}
	}
	e.Status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

func (c *Client) callJSON(
	ctx context.Context, method, path string, query url.Values, body, answer any, header map[string]string,
) error {
	res, err := c.call(ctx, method, path, query, body, header)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if answer == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("the answer of %s is not the JSON of unip's gateway: %w", c.URL, err)
	}
	return nil
}

// escape makes a URL path of one with slashes.
func escape(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// File is one file in a listing, or by itself.
type File struct {
	Name         string    `json:"name"`
	Size         int64     `json:"size"`
	ETag         string    `json:"etag"`
	ContentType  string    `json:"content_type,omitempty"`
	LastModified time.Time `json:"last_modified,omitzero"`
	Get          string    `json:"presigned_get_url,omitempty"`
	Put          string    `json:"presigned_put_url,omitempty"`
	Expires      time.Time `json:"expires_at,omitzero"`
}

// Listing is what is in a group.
type Listing struct {
	Files  []File   `json:"files"`
	Groups []string `json:"file_groups"`
	Next   string   `json:"next,omitempty"`
}

// PutLink gives the link by which a file is written: of size bytes and no other number, or of any
// number when size is negative.
func (c *Client) PutLink(ctx context.Context, path string, size int64, overwrite bool) (File, error) {
	q := url.Values{}
	if size >= 0 {
		q.Set("size", strconv.FormatInt(size, 10))
	}
	if overwrite {
		q.Set("overwrite", "true")
	}
	var f File
	return f, c.callJSON(ctx, http.MethodPut, "/files/"+escape(path), q, nil, &f, nil)
}

// Stat says what is known of a file, with links.
func (c *Client) Stat(ctx context.Context, path string) (File, error) {
	var f File
	return f, c.callJSON(ctx, http.MethodGet, "/files/"+escape(path), nil, nil, &f, nil)
}

// List gives one page of a group (its path ends in "/").
func (c *Client) List(ctx context.Context, path, next string) (Listing, error) {
	q := url.Values{}
	if next != "" {
		q.Set("continue", next)
	}
	var l Listing
	return l, c.callJSON(ctx, http.MethodGet, "/files/"+escape(path), q, nil, &l, nil)
}

// Box is a box of the module.
type Box struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only"`
}

// Boxes gives the module's boxes.
func (c *Client) Boxes(ctx context.Context) ([]Box, error) {
	a := struct {
		Boxes []Box `json:"boxes"`
	}{[]Box{}}
	err := c.callJSON(ctx, http.MethodGet, "/files/", nil, nil, &a, nil)
	return a.Boxes, err
}

// Pipeline is a pipeline of the module.
type Pipeline struct {
	Name         string   `json:"name"`
	Inputs       []string `json:"inputs"`
	Outputs      []string `json:"outputs"`
	Stages       []string `json:"stages"`
	ContinueWith string   `json:"continue_with,omitempty"`
}

// Pipelines gives the module's pipelines.
func (c *Client) Pipelines(ctx context.Context) ([]Pipeline, error) {
	a := struct {
		Pipelines []Pipeline `json:"pipelines"`
	}{[]Pipeline{}}
	err := c.callJSON(ctx, http.MethodGet, "/pipelines", nil, nil, &a, nil)
	return a.Pipelines, err
}

// Remove deletes a file, or all of a group.
func (c *Client) Remove(ctx context.Context, path string) error {
	for {
		var more struct {
			More bool `json:"more"`
		}
		if err := c.callJSON(ctx, http.MethodDelete, "/files/"+escape(path), nil, nil, &more, nil); err != nil ||
			!more.More {
			return err
		}
	}
}

// Start starts a run of the pipeline that is published at path.
func (c *Client) Start(
	ctx context.Context, path string, inputs, outputs map[string]string, key string,
) (record.Run, error) {
	h := map[string]string{}
	if key != "" {
		h["Idempotency-Key"] = key
	}
	var r record.Run
	body := map[string]any{"inputs": inputs, "outputs": outputs}
	return r, c.callJSON(ctx, http.MethodPost, "/"+escape(strings.Trim(path, "/"))+"/run", nil, body, &r, h)
}

// MaxRuns is how many runs one page has at the most.
const MaxRuns = 500

// Runs gives one page of the caller's runs, newest first.
func (c *Client) Runs(
	ctx context.Context, pipeline, status string, limit int, next string,
) ([]record.Run, string, error) {
	q := url.Values{}
	for k, v := range map[string]string{"pipeline": pipeline, "status": status, "continue": next} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var a struct {
		Runs []record.Run `json:"runs"`
		Next string       `json:"next"`
	}
	return a.Runs, a.Next, c.callJSON(ctx, http.MethodGet, "/pipelines/runs", q, nil, &a, nil)
}

// Run gives one run.
func (c *Client) Run(ctx context.Context, id string) (record.Run, error) {
	var r record.Run
	return r, c.callJSON(ctx, http.MethodGet, "/pipelines/runs/"+escape(id), nil, nil, &r, nil)
}

// Cancel ends a run.
func (c *Client) Cancel(ctx context.Context, id string) (record.Run, error) {
	var r record.Run
	return r, c.callJSON(ctx, http.MethodPost, "/pipelines/runs/"+escape(id)+"/cancel", nil, nil, &r, nil)
}

// Log streams what an attempt of a stage has written; the stream is the caller's to close. With follow
// it goes on until the attempt has ended; the gateway ends it after 9 minutes in any case.
func (c *Client) Log(ctx context.Context, id, stage string, attempt int, follow bool) (io.ReadCloser, error) {
	q := url.Values{"stage": {stage}}
	if attempt > 0 {
		q.Set("attempt", strconv.Itoa(attempt))
	}
	if follow {
		q.Set("follow", "true")
	}
	quiet := *c
	quiet.Slow = nil // nothing may be written for long
	res, err := quiet.call(ctx, http.MethodGet, "/pipelines/runs/"+escape(id)+"/logs", q, nil, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
