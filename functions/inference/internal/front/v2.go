package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/functions/inference/internal/openapi"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// headLength is the header that says how long the JSON before binary tensors is, in requests and
// answers (extension_binary_data.md of triton-inference-server/server).
const headLength = "Inference-Header-Content-Length"

// version is the only one that a component has.
const version = openapi.ModelVersion

// alignment is the multiple at which binary tensors begin in the body for the worker. It reads
// numbers in place, and there is software that reads only aligned ones.
const alignment = 16

// handleV2 adds the Open Inference Protocol (inference_rest.md of kserve/open-inference-protocol);
// the component is the one model.
func (s *Server) handleV2(mux *http.ServeMux) {
	get := map[string]http.HandlerFunc{
		"/v2": s.serverMetadata,
		"/v2/health/live": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w,
				map[string]bool{"live": true})
		},
		"/v2/health/ready": s.serverReady,
	}
	post := map[string]http.HandlerFunc{}
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		get[model] = s.ofThisModel(s.modelMetadata)
		get[model+"/ready"] = s.ofThisModel(s.modelReady)
		post[model+"/infer"] = s.ofThisModel(s.infer)
	}
	for method, handlers := range map[string]map[string]http.HandlerFunc{http.MethodGet: get, http.MethodPost: post} {
		allow := map[string]string{http.MethodGet: "GET, HEAD", http.MethodPost: "POST"}[method]
		for path, h := range handlers {
			mux.HandleFunc(method+" "+path, h)
			mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Allow", allow)
				problem.Answer(w, r, problem.MethodNotAllowed, http.StatusMethodNotAllowed, "",
					"the path has only "+allow)
			})
		}
	}
}

// ofThisModel lets only calls of this component's name and version through.
func (s *Server) ofThisModel(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := r.PathValue("version")
		switch {
		case r.PathValue("model") != s.Component:
			problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "",
				"there is no such model; this component is the model "+s.Component)
		case v != "" && v != version:
			problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "",
				"there is no such version; "+s.Component+" has the version "+version)
		default:
			next(w, r)
		}
	}
}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"name": "unip", "version": "v1", "extensions": []string{"binary_tensor_data"}})
}

// serverReady answers with "live" too: inference_rest.md calls it so, and KServe's servers "ready".
func (s *Server) serverReady(w http.ResponseWriter, r *http.Request) {
	if s.whenReady(w, r) {
		writeJSON(w, map[string]bool{"live": true, "ready": true})
	}
}

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) {
	if s.whenReady(w, r) {
		writeJSON(w, map[string]any{"name": s.Component, "ready": true})
	}
}

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) {
	f := s.Pool.Function()
	if f == nil {
		w.Header().Set("Retry-After", "1")
		problem.Answer(w, r, "starting", http.StatusServiceUnavailable, "", "the function is not imported yet")
		return
	}
	if s.Model != nil {
		s.tellModel(w.Header(), s.Model.ETag())
	}
	writeJSON(w, openapi.Metadata(s.Component, f.Description))
}

func (s *Server) infer(w http.ResponseWriter, r *http.Request) {
	size, err := headSize(r.Header.Values(headLength), r.ContentLength)
	if err != nil {
		problem.Answer(w, r, "invalid-request", http.StatusBadRequest, "", err.Error())
		return
	}
	s.call(w, r, form{v2: true, component: s.Component, head: size})
}

// headSize reads the header of that name; -1 says that there is none and the body is JSON as a
// whole. length is the body's, -1 when it is not known.
func headSize(values []string, length int64) (int, error) {
	if len(values) == 0 {
		return -1, nil
	}
	n, err := strconv.ParseUint(values[0], 10, 32)
	switch {
	case len(values) > 1:
		return 0, fmt.Errorf("there is more than one %s", headLength)
	case err != nil || n == 0 || n > MaxBody:
		return 0, fmt.Errorf("%s must be a number of bytes from 1 to %d", headLength, MaxBody)
	case length >= 0 && int64(n) > length:
		return 0, errHead
	}
	return int(n), nil
}

var errHead = errors.New(headLength + " is more than the body has")

// form is how a request and its answer are written: the zero form is predict's.
type form struct {
	v2        bool
	component string
	head      int // bytes of JSON before binary tensors; -1: all of the body is JSON
}

var plain = form{head: -1}

// readBody takes in a body. JSON before binary tensors is filled up with blanks, so that those are
// aligned.
func (f form) readBody(into *bytes.Buffer, body io.Reader) error {
	if f.head >= 0 {
		if _, err := io.CopyN(into, body, int64(f.head)); err != nil {
			if errors.Is(err, io.EOF) {
				err = errHead
			}
			return err
		}
		into.Write(bytes.Repeat([]byte{' '}, f.padded()-f.head))
	}
	_, err := into.ReadFrom(body)
	return err
}

func (f form) padded() int { return (f.head + alignment - 1) / alignment * alignment }

// more is what the worker is told beside the body.
func (f form) more() []byte {
	if !f.v2 {
		return nil
	}
	more := map[string]any{"form": "v2", "model": f.component, "version": version}
	if f.head >= 0 {
		more["json_size"] = f.padded()
	}
	b, _ := json.Marshal(more) // strings and numbers always encode
	return b
}

func writeJSON(w http.ResponseWriter, v any) {
	b, _ := plainjson.Marshal(v) // strings, booleans and lists of them always encode
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}
