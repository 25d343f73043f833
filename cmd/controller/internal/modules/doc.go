// Package modules keeps a module fit for its runs. For each Pipeline there are two jobs. Pipelines
// prepares the module's run bucket and the session with which its gateway reads logs, has starts that
// were broken off completed, and says since when each on-upload rule holds. Schedules has a run
// started for each due time. Each writes fields of its own of the Pipeline's status, and nobody else
// writes there.
//
// What it never does: make a run itself (it asks internal/starts, which makes one start of many),
// look at runs that are under way (that is internal/runs), or believe a ping: it only makes the
// controller look at a schedule.
package modules
