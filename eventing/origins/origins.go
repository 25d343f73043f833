// Package origins lets pages of some sites call an API from a browser, and those of all others not.
// One list says which: of whom calls are taken that change something in the name of who looks at the
// page (CSRF), and who may read the answers (CORS).
//
// Logins that a browser keeps by itself are not sent along: a page of another site brings its own,
// in the header Authorization.
package origins

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/rs/cors"

	"github.com/unip-knative/unip/eventing/routes"
)

// remembered is for how many seconds a browser need not ask again.
const remembered = 600

// Sites are those whose pages may call.
type Sites struct {
	protection *http.CrossOriginProtection
	cors       *cors.Cors // nil: there are none
}

// New lets in the pages of these sites, scheme://host[:port] each, and those of the API's own host.
// Where the API is called by another name than Host says, own are the sites of that name.
func New(sites []string, own ...string) (*Sites, error) {
	s := &Sites{protection: http.NewCrossOriginProtection()}
	for _, site := range slices.Concat(sites, own) {
		if err := routes.CheckOrigin(site); err != nil {
			return nil, err
		}
		if err := s.protection.AddTrustedOrigin(site); err != nil {
			return nil, fmt.Errorf("origins: %w", err)
		}
	}
	if len(sites) == 0 { // an empty list would be everybody
		return s, nil
	}
	s.cors = cors.New(cors.Options{
		AllowedOrigins: sites,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		},
		AllowedHeaders: []string{"*"}, // what means something inwards is taken away anyway
		ExposedHeaders: []string{
			"Allow", "Inference-Header-Content-Length", "Location", "Retry-After", "Unip-Model-Etag",
			"Unip-Model-State", "X-Request-Id",
		},
		MaxAge: remembered,
	})
	return s, nil
}

// Tell says in the answer's headers whether the page that calls may read it. A browser's question
// beforehand whether a call will be taken is answered, which needs no login: answered is true then.
func (s *Sites) Tell(w http.ResponseWriter, r *http.Request) (answered bool) {
	if s.cors == nil {
		return false
	}
	s.cors.HandlerFunc(w, r)
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// Check refuses what a page of any other site makes a browser send, which would come with the login
// that the browser keeps. Programs send none of the headers that say so, and pass.
func (s *Sites) Check(r *http.Request) error { return s.protection.Check(r) }
