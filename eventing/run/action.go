package run

import (
	"time"

	"github.com/unip-knative/unip/eventing/events"
)

// Action is one of the types below. Carrying one out twice is as good as once.
type Action interface{ action() }

// StartAttempt makes an attempt of a stage under the name that the stage's status has. One that is
// there already will do. Complete: the stage has a commit, so nothing of the user's runs, and what
// is left to do is to complete the commit's copies. Without it no further attempt may be made where
// there is a commit by then: whoever carries it out looks right before, and steps again.
type StartAttempt struct {
	Stage    string
	Number   int
	Name     string
	Complete bool
	// Patience is how long its transfers may wait for storage: what the stage has left of it.
	Patience time.Duration
}

// StopAttempt ends an attempt that goes on; its log is kept. One that has ended or is not there
// will do.
type StopAttempt struct{ Name string }

// Announce gives an event to the Broker, unless that is under way. Whether it was taken is seen
// later.
type Announce struct{ Step events.Step }

// DropSessions takes the sessions of the run's stages away.
type DropSessions struct{}

// Record writes what the run was and what came of it beside its outputs. Last: it is not tried
// again.
type Record struct{ Last bool }

// KeepHint keeps Seen.Hint for the next Step: what the event was about has to wait.
type KeepHint struct{}

// Look says when to step again at the latest, also if nothing changes. It is the last action, if it
// is there.
type Look struct{ At time.Time }

func (StartAttempt) action() {}
func (StopAttempt) action()  {}
func (Announce) action()     {}
func (DropSessions) action() {}
func (Record) action()       {}
func (KeepHint) action()     {}
func (Look) action()         {}
