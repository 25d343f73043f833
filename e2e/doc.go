// Package e2e tests unip on a real cluster: `make e2e` brings one up, deploys unip and runs these.
// Each test has a module of its own, in a namespace of its own.
package e2e
