// Package engine carries out the runs of a module on one machine. It drives eventing/run as the
// controller does in a cluster, with processes in place of Jobs: what brings the files of a stage
// and takes them away is the same code (functions/stage/service), and so is what a run shall do
// (eventing/plan), what starts it (eventing/start) and when it is due (eventing/schedule).
//
// What it knows is on disk before anything follows from it, so that a kill at any point loses
// nothing: runs/<run>.json is a run, attempts/<attempt>/ an attempt of a stage with what the process
// has written. Start records, commits and kept logs lie in the run bucket, as in a cluster.
//
// Processes are no sandbox. One has its working folder, its HOME and its TMPDIR in the folder of its
// attempt, and may do all that the user may who has started it.
package engine
