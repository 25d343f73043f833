// Package runs carries out PipelineRuns: it asks internal/plan what a run shall do, starts the stages that are due as
// Jobs, reads their results from the pods, tells the module's Broker what happened, and keeps start records so that one
// upload starts one run.
//
// outcome.go is pure: objects in, objects out. reconciler.go is the one place that writes a run's status.
package runs
