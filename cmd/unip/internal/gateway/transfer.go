package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Upload writes size bytes of body to a link that PutLink gave, as a file of that media type. Progress
// is told of bytes as they go. It gives the ETag.
func (c *Client) Upload(
	ctx context.Context, link, mediaType string, body io.Reader, size int64, progress func(int64),
) (etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, &counter{Reader: body, told: progress})
	if err != nil {
		return "", withoutURL(err)
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", mediaType)
	res, err := c.HTTP.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		b, err := io.ReadAll(io.LimitReader(res.Body, 2<<10))
		if err != nil {
			return "", fmt.Errorf("the storage refuses the file: %s, and its answer broke off: %w", res.Status, err)
		}
		return "", fmt.Errorf("the storage refuses the file: %s: %s", res.Status, b)
	}
	return strings.Trim(res.Header.Get("ETag"), `"`), nil
}

// Download fetches a link that Stat gave. Progress is told of bytes as they come.
func (c *Client) Download(ctx context.Context, link string, to io.Writer, progress func(int64)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return withoutURL(err)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the storage refuses to give the file: %s", res.Status)
	}
	n, err := io.Copy(to, &counter{Reader: res.Body, told: progress})
	if err == nil && res.ContentLength >= 0 && n != res.ContentLength {
		err = fmt.Errorf("the file broke off after %d of %d bytes", n, res.ContentLength)
	}
	return err
}

// withoutURL keeps a presigned link, which is as good as a password, out of messages.
func withoutURL(err error) error {
	type unwrapper interface{ Unwrap() error }
	if u, ok := err.(unwrapper); ok && u.Unwrap() != nil { // the outermost one is what net/http adds
		return fmt.Errorf("talking to the storage: %w", u.Unwrap())
	}
	return err
}

type counter struct {
	io.Reader
	told func(int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if c.told != nil {
		c.told(int64(n))
	}
	return n, err
}
