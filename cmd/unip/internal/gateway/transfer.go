package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// Upload writes size bytes of body to a link that PutLink gave. Progress is told of the bytes sent
// so far.
func (c *Client) Upload(ctx context.Context, link string, body io.Reader, size int64, progress func(int64)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, &counter{Reader: body, told: progress})
	if err != nil {
		return err
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 2<<10))
		return fmt.Errorf("the storage refuses the file: %s: %s", res.Status, b)
	}
	return nil
}

// Download fetches a link that Stat gave into a file, which appears only when it is whole.
func (c *Client) Download(ctx context.Context, link, to string, progress func(int64)) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the storage refuses to give the file: %s", res.Status)
	}
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	n, err := io.Copy(f, &counter{Reader: res.Body, told: progress})
	if err != nil {
		return err
	}
	if res.ContentLength >= 0 && n != res.ContentLength {
		return fmt.Errorf("the file broke off after %d of %d bytes", n, res.ContentLength)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
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
	n    int64
	told func(int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	if c.told != nil {
		c.told(c.n)
	}
	return n, err
}
