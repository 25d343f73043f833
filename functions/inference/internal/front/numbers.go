package front

import (
	"encoding/json"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/numbers"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// takeNumbers gives the worker the call's long lists of numbers in binary, if there is memory for it. Nothing reads the call's former body then, and held is how many bytes more than that are held for the call.
func (s *Server) takeNumbers(f form, call *pool.Call) (held int64, taken bool) {
	size := len(call.Body)
	if size <= numbers.Small || f.head >= 0 {
		return 0, false
	}
	room := int64(numbers.Growth * size)
	if !s.hold(room) {
		return 0, false
	}
	body, lists := numbers.Take(call.Body)
	if len(lists) == 0 || len(body) > frame.MaxBody {
		s.held.Add(-room)
		return 0, false
	}
	held = int64(cap(body) - size)
	s.held.Add(held - room)
	said, _ := json.Marshal(lists) // numbers always encode
	call.Body, call.More = body, with(call.More, "numbers", said)
	return held, true
}

// hold takes memory only if there is so much.
func (s *Server) hold(n int64) bool {
	for {
		held := s.held.Load()
		if held+n > s.maxHeld() {
			return false
		}
		if s.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// with adds a field to a JSON object, which may be nil.
func with(object []byte, key string, value []byte) []byte {
	if len(object) == 0 {
		return []byte(`{"` + key + `":` + string(value) + `}`)
	}
	return append(object[:len(object)-1:len(object)-1], `,"`+key+`":`+string(value)+`}`...)
}
