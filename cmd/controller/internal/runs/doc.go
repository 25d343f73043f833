// Package runs carries out PipelineRuns: it asks eventing/plan what a run shall do, makes Jobs of
// the stages that are due, reads their results from the pods, tells the module's Broker what
// happened, and keeps the logs of Jobs that have ended.
//
// What happens to a run is decided in eventing/run. The Reconciler here drives it: observe.go
// looks, reconciler.go steps and is the one place that writes a run's status, carryout.go acts.
// attempt.go is pure: objects in, facts out.
//
// What it never does: make a run (that is internal/starts), prepare a module for runs (that is
// internal/modules), or believe an event: a hint only makes it look.
package runs
