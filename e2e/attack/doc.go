// Package attack tries what strangers try against unip, by attacker: anonymous callers, users,
// holders of links, code in a user's container, pods of other modules, editors of a namespace,
// authors of manifests, web pages, and whoever speaks as S3. Its tables hold what once got through
// and what always held.
//
// The tests of manifests need no cluster and run in `make test`. The others have the build tag e2e
// and run by `make attack`, against a module of their own and a neighbour of it; they count their
// inputs.
package attack
