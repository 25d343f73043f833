// Package answered remembers what was answered to an HTTP request, for the access log and the
// metrics of those that serve.
package answered

import "net/http"

// Writer is a ResponseWriter that remembers. Unwrap lets http.ResponseController flush and hijack
// through it.
type Writer struct {
	http.ResponseWriter
	// Status of the answer, not of informational ones before it; 0 as long as none has been
	// written.
	Status int
	// Bytes of the body so far.
	Bytes int64
	// Refusing is called once before an answer of 400 or above begins; nil is not.
	Refusing func()
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	if w.Status == 0 && status >= http.StatusOK {
		w.Status = status
		if status >= http.StatusBadRequest && w.Refusing != nil {
			w.Refusing()
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(b []byte) (int, error) {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.Bytes += int64(n)
	return n, err
}

// Unwrap is the ResponseWriter below.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
