package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// MaxPrediction bounds what is read of an answer of predict, in bytes.
const MaxPrediction = 256 << 20

// Predict calls predict at a URL, of this module or of a component by itself, with the body as it
// is, and gives the answer as it is. An answer that says no is an *Error.
func (c *Client) Predict(ctx context.Context, url string, body []byte) ([]byte, error) {
	res, err := c.send(ctx, http.MethodPost, url, bytes.NewReader(body),
		http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxPrediction+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(b) > MaxPrediction {
		return nil, fmt.Errorf("the answer is larger than %d MiB", MaxPrediction>>20)
	}
	return b, nil
}
