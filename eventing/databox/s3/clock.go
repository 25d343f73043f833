package s3

import (
	"net/http"
	"sync"
	"time"
)

// Clock is a transport that reads the S3 server's clock off the answers that pass it, in whole
// seconds, for that is what an answer's Date has. Times of objects are by that clock, and compared
// with it alone: the controller's own may differ by minutes.
type Clock struct {
	Transport http.RoundTripper

	mu    sync.Mutex
	told  time.Time
	since time.Time // when it was told, by the own clock, which runs on meanwhile
}

// RoundTrip passes a request on.
func (c *Clock) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	if told, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.mu.Lock()
		c.told, c.since = told, time.Now()
		c.mu.Unlock()
	}
	return resp, nil
}

// Now is the server's time, as it was told last and has run on since. ok is false while nothing was
// told.
func (c *Clock) Now() (now time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told.IsZero() {
		return time.Time{}, false
	}
	return c.told.Add(time.Since(c.since)).Truncate(time.Second), true
}
