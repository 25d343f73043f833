// Package run is the life of one pipeline run as a pure function. Step takes the run, what is seen
// of its attempts and the time; it gives the run's next status and what has to be done. It has no
// client, no clock and no goroutine: the controller carries its actions out with Jobs, another
// program may do so with processes, a test with nothing.
//
// Who drives it repeats these four things, whenever something may have changed:
//
//  1. Observe: fill a Seen, of storage with AskStorage.
//  2. Step.
//  3. Write the status once, if it differs, so that the write fails when somebody else has written meanwhile.
//  4. Carry out the actions in their order. When the write failed: none of them.
//
// A crash between any two of these loses nothing: the next Step gives the same actions again, and
// each may be carried out twice. A stage is Running from the moment at which its attempt is asked
// for. While it has no StartTime the attempt was never seen, and its StartAttempt is given again.
// A run, or a stage for good, ends in two steps: what is decided is stored first, then storage
// closes the commits of what has none, and only then is the end written. So nothing of a stage
// becomes visible once its run has ended without it.
// Once the run has ended nothing is started; an attempt that a slow driver makes at that moment is
// found among Seen.Going and stopped.
package run
