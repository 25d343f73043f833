// Package service is a module's gateway without its network and its cluster: an http.Handler that
// checks who calls, passes calls on to the module's MLComponents, gives out links to files, and
// starts and shows runs of pipelines.
//
// What it needs of the outside is in Options: where components answer, where runs are (Store), and
// folders with sessions of boxes, users' passwords and the module's key. It knows no Kubernetes
// API, so that it runs on a laptop as in a pod.
package service

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/attempts"
	"github.com/unip-knative/unip/functions/gateway/internal/basic"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
	"github.com/unip-knative/unip/functions/gateway/internal/forward"
	"github.com/unip-knative/unip/functions/gateway/internal/paths"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
)

const (
	// UsualMaxBody is the largest body of a call in bytes unless the installation says otherwise.
	UsualMaxBody = forward.MaxBody
	// UsualUploadLinks is how many links for files of unknown size a user gets for a box within an
	// hour unless the installation says otherwise.
	UsualUploadLinks = files.UsualLinks
)

// Store is where a module's pipelines and runs are.
type (
	Store           = runs.Store
	InvalidRunError = runs.InvalidRunError
)

// Puts asks for links into the developer's area of boxes.
type Puts = files.Puts

// What a Store says of what it does not have.
var (
	ErrNoRun     = runs.ErrNoRun
	ErrRunExists = runs.ErrRunExists
	ErrNotBegun  = runs.ErrNotBegun
	ErrNoLog     = runs.ErrNoLog
)

// Metrics are told when a call begins, and how it ended: of which API, "" for none that is published,
// with which method and status, after how long.
type Metrics interface {
	Begin()
	End(api, method string, status int, took time.Duration)
}

// Options of a gateway.
type Options struct {
	// Namespace is the module's. Prefix is what the names of all its objects have before those in
	// the routes, when a tool such as kustomize has put it there.
	Namespace, Prefix string
	// Routes are what is published.
	Routes routes.File
	// Passwords is a folder with one folder per Secret of users.
	Passwords string
	// Key is the file with the module's key, with which callers are signed. It need not be there
	// yet.
	Key string
	// Address gives scheme and host of a component's Service.
	Address func(component string) *url.URL
	// Boxes is a folder with one folder per box, with its sessions.
	Boxes string
	// S3Endpoint is the S3 server as callers see it, for links; "" is what the sessions say.
	S3Endpoint string
	// UploadLinks is how many links for files of unknown size a user gets for a box within an hour;
	// 0 is no bound.
	UploadLinks int
	// Runs are served when there is a Store. KeptLogs opens the run bucket, for the logs of stages
	// that have ended.
	Runs     Store
	KeptLogs func() (*s3.Box, error)
	// Puts asks for links into the developer's area of boxes; nil where no box has developers.
	Puts Puts
	// MaxBody is the largest body of a call of an MLComponent in bytes.
	MaxBody int64
	// Metrics are told of each call; nil: nobody is.
	Metrics Metrics
	// As is who calls without credentials, where only people of this machine can; "" is nobody.
	As string
	// Sampled is the share, 0 to 1, of the traces that begin here and are marked as sampled.
	Sampled float64
	// Routers looks up the addresses of the router's pods, which are believed who calls; nil: there
	// is no router.
	Routers func(context.Context) ([]netip.Addr, error)
}

// Gateway is the HTTP face of a module.
type Gateway struct {
	namespace string
	table     *paths.Table
	address   func(component string) *url.URL
	users     *basic.Store
	hops      *attempts.Hops
	attempts  *attempts.Attempts // of logging in with a password
	tokens    *bearer.Checker
	forward   *forward.Forwarder
	sampled   float64
	files     *files.Handler
	runs      *runs.Handler // nil: none is served
	keyFile   string
	as        string
	metrics   Metrics
	now       func() time.Time
}

var _ http.Handler = (*Gateway)(nil)

// New makes the gateway of a module. The error names all mistakes in the routes.
func New(o Options) (*Gateway, error) {
	table, err := paths.New(o.Routes, o.Namespace, o.Prefix)
	if err != nil {
		return nil, err
	}
	boxes := &files.Boxes{Dir: o.Boxes, Prefix: o.Prefix, PublicEndpoint: o.S3Endpoint, Dataset: table.Dataset}
	g := &Gateway{
		namespace: o.Namespace, table: table, address: o.Address, keyFile: o.Key, sampled: o.Sampled, now: time.Now,
		as: o.As, metrics: o.Metrics, users: basic.New(o.Passwords), tokens: bearer.New(bearer.Transport()),
		hops: attempts.NewHops(), attempts: attempts.New(),
		forward: forward.New(forward.Transport(), o.MaxBody),
		files: &files.Handler{Boxes: table.Boxes(), Dataset: table.Dataset, Open: boxes.Open,
			Developers: table.Developers(), Puts: o.Puts,
			Links: &files.Links{Most: o.UploadLinks}},
	}
	if o.Routers != nil {
		g.hops.Routers = attempts.NewRouters(o.Routers)
	}
	if o.Runs != nil {
		g.runs = &runs.Handler{
			Store: o.Runs, Base: "/" + o.Namespace + "/" + table.RunsPath(), Boxes: table.Boxes(),
			Dataset: table.Dataset,
			Open:    boxes.Look, KeptLogs: o.KeptLogs,
		}
	}
	return g, nil
}
