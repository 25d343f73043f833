// Package starts makes PipelineRuns of what happens: of an uploaded file, and of a due time of a
// schedule. However often it is told of one, it makes one run; a start record in the module's run
// bucket sees to that. It also holds the Receiver, to which the modules' Triggers deliver events, and
// the Sweeper, which finds the uploads that nobody has told of.
//
// What it never does: believe an event (what it names is looked up), decide when something is due
// (internal/modules does), or look at a run once it is made (internal/runs does). It knows neither
// of the two: the Receiver is given functions to tell them.
package starts
