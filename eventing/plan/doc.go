// Package plan says what a run shall do: its stages with the places of their inputs and outputs,
// the sessions that a stage needs, and what is brought and taken for an attempt. It is pure: what it
// must know of boxes it is given, and the same run gets the same plan. The controller makes Jobs of
// it, unip dev processes.
//
// The rules of the graph are those of eventing/pipeline. What is added here is where a run's files
// lie, and who may name which place.
package plan
