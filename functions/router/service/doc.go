// Package service is the router without its network and its cluster: an http.Handler that passes
// calls of one host, /<namespace>/…, to the gateways of the modules.
//
// What goes on: method, path, query, body, trailers, upgrades, and the headers that are the caller's
// business, as they come and when they come, but that the head of an answer waits a moment for its
// body. What does not: headers that claim what only the network may say (X-Forwarded-*, Unip-*,
// Knative's and Envoy's own). Host is the gateway's Service, which Knative knows it by. The
// namespace alone decides where a call goes; it is compared as it came over the wire with those that
// have a gateway, and all else is 404, as of a gateway that has no such API.
//
// A component that the path belongs to is woken beside its gateway, so that the two start at the same
// time (docs/benchmarks.md says what that saves).
//
// All modules are one site to a browser. So that no module acts for another there, answers are
// documents in a sandbox, set nothing that outlives them, and ask for logins of their own module only.
package service
