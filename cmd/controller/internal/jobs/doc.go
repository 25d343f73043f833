// Package jobs makes the Job of an attempt of a stage of what eventing/plan says. It is pure.
package jobs
