package front

import (
	"encoding/json"
	"net/http"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/numbers"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// takeNumbers gives the worker the call's long lists of numbers in binary, if there is memory for
// it. Nothing reads the call's former body then, and held is how many bytes more than that are held
// for the call.
func (s *Server) takeNumbers(r *http.Request, f form, call *pool.Call) (held int64, taken bool) {
	size := len(call.Body)
	if size <= numbers.Small || f.head >= 0 || s.Pool.Full() || r.Context().Err() != nil {
		return 0, false
	}
	room := int64(numbers.Growth * size)
	if !s.reserve(room) {
		return 0, false
	}
	defer func() { s.held.Add(held - room) }()
	body, lists := numbers.Take(call.Body)
	if len(lists) == 0 || len(body) > frame.MaxBody {
		return 0, false
	}
	places, _ := json.Marshal(lists) // numbers always encode
	call.Body, call.More = body, withField(call.More, "numbers", places)
	return int64(cap(body) - size), true
}

// reserve takes memory only if there is so much, and for one more body of the largest.
func (s *Server) reserve(n int64) bool {
	for {
		held := s.held.Load()
		if held+n+s.maxBody() > s.maxHeld() {
			return false
		}
		if s.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// withField adds a field to a JSON object, which may be nil.
func withField(object []byte, key string, value []byte) []byte {
	if len(object) == 0 {
		return []byte(`{"` + key + `":` + string(value) + `}`)
	}
	return append(object[:len(object)-1:len(object)-1], `,"`+key+`":`+string(value)+`}`...)
}
