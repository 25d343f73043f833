// Package broker takes the parts of a durable Broker away in the middle of runs. Its test needs a
// cluster that was made with JetStream: `make e2e-broker`.
package broker
