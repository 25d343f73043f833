package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// callTime bounds one call, and maxAnswer the body of its answer; both are far above what any side
// needs.
const (
	callTime  = time.Minute
	maxAnswer = 128 << 20
)

// connection is a keep-alive HTTP/1.1 client over a bare TCP connection: net/http's client would
// take as much CPU as some of the servers. A server that closes after its answer (gunicorn's sync
// workers do) is connected to again, within the time of the call.
type connection struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	body    []byte // of the last answer; reused
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// call sends a request, which is whole: line, headers, body. The answer's body is valid until the
// next call.
func (c *connection) call(request []byte) (status int, body []byte, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.address, callTime); err != nil {
			return 0, nil, err
		}
		if c.in == nil {
			c.in = bufio.NewReaderSize(c.conn, 64<<10)
		}
		c.in.Reset(c.conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(callTime))
	if _, err := c.conn.Write(request); err != nil {
		c.close()
		return 0, nil, err
	}
	status, last, err := c.read()
	if err != nil || last {
		c.close()
	}
	return status, c.body, err
}

// read reads an answer into c.body; last says that the server closes the connection.
func (c *connection) read() (status int, last bool, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, false, fmt.Errorf("not an HTTP answer: %.40q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, err
	}
	last = line[7] == '0'
	length, chunked := -1, false
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == 0:
			return status, last, c.readBody(length, chunked)
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return 0, false, fmt.Errorf("length of an answer: %.40q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			last = last || bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (c *connection) readBody(length int, chunked bool) error {
	c.body = c.body[:0]
	if !chunked {
		if length < 0 {
			return errors.New("an answer without a length")
		}
		return c.append(length)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil || len(c.body)+int(size) > maxAnswer {
			return fmt.Errorf("a chunk of an answer: %.40q", line)
		}
		if err := c.append(int(size)); err != nil {
			return err
		}
		if _, err := c.in.Discard(len("\r\n")); err != nil || size == 0 {
			return err
		}
	}
}

func (c *connection) append(size int) error {
	at := len(c.body)
	c.body = slices.Grow(c.body, size)[:at+size]
	_, err := io.ReadFull(c.in, c.body[at:])
	return err
}

// load is what a closed loop of callers saw.
type load struct {
	calls    int
	wall     time.Duration
	p50, p99 time.Duration
}

// drive calls over some connections, each of which sends its next request when it has the answer to
// the last, until the time is over, but at least minCalls in all. Each answer must be want.
func drive(address string, request, want []byte, connections, minCalls int, d time.Duration) (load, error) {
	var (
		mu    sync.Mutex
		all   []time.Duration
		first error
		wg    sync.WaitGroup
	)
	began := time.Now()
	for range connections {
		wg.Go(func() {
			times, err := loop(address, request, want, minCalls/connections, began.Add(d))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	l := load{calls: len(all), wall: time.Since(began)}
	if first != nil {
		return l, first
	}
	slices.Sort(all)
	l.p50, l.p99 = all[len(all)/2], all[len(all)*99/100]
	return l, nil
}

func loop(address string, request, want []byte, minCalls int, end time.Time) ([]time.Duration, error) {
	c := &connection{address: address}
	defer c.close()
	times := make([]time.Duration, 0, 1<<14)
	for start := time.Now(); len(times) < max(1, minCalls) || start.Before(end); {
		status, body, err := c.call(request)
		if err != nil {
			return nil, err
		}
		if status != 200 || !bytes.Equal(body, want) {
			return nil, fmt.Errorf("answer %d %.200q, want %.200q", status, body, want)
		}
		now := time.Now()
		times = append(times, now.Sub(start))
		start = now
	}
	return times, nil
}
