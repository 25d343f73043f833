package run

import (
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Seen is all that Step knows besides the run itself.
type Seen struct {
	Settings

	// Plan of a run that has no stages yet. Nil while nothing is known of it.
	Plan *Plan
	// Attempts are the present attempts of stages that run, by their names. One may be seen as it
	// was some time ago, but is missing only if it is missing now.
	Attempts map[string]Attempt
	// Answers are what came of attempts that were asked for and could not be made, by their names.
	Answers map[string]Answer
	// Commits says of stages whether they have a commit: of all that WantsCommits names.
	Commits map[string]Commit
	// Fences says of stages that are to end whether they have a commit: of all that WantsFences names.
	// NoCommit: they never will, for theirs is closed.
	Fences map[string]Commit
	// StorageAway is since when storage is known not to answer. Zero: nothing is known against it.
	StorageAway time.Time
	// Going are the names of all attempts of a run that has ended which still go on and which
	// nobody has stopped.
	Going []string
	// Hint: an event has named the run since the last Step.
	Hint bool
	// Taken is when the Broker took an event, by the event's id, as far as is known.
	Taken map[string]time.Time
	// Delivered: the Broker answers only after its subscribers have. Any other one stores an event,
	// and delivers it later.
	Delivered bool
	// Room: the pipeline's limit of runs allows this one, which is not under way, to begin.
	Room bool
	// Recorded: the run's record was written, or there is no place for it.
	Recorded bool
}

// Settings are the installation's.
type Settings struct {
	// Grace is how long a stage that is due waits for the event that says so.
	Grace time.Duration
	// ImagePull is how long an attempt may wait for a container that cannot be made.
	ImagePull time.Duration
	// Patience is how long a stage waits in all for what is not its doing.
	Patience time.Duration
	// AttemptName names an attempt of a stage: always alike, and unlike any other attempt of any
	// run.
	AttemptName func(stage string, number int) string
}

// Commit says whether a stage has a commit. One that has never runs the user's container again.
type Commit int

// The answers of storage.
const (
	// Unknown: storage does not say.
	Unknown Commit = iota
	NoCommit
	Committed
)

// Plan is what a run shall do. One of the three is set.
type Plan struct {
	// Stages in an order in which they could run one after the other, and the places of outputs by
	// variable.
	Stages  []runtimev1.StageStatus
	Outputs map[string]string
	// Kept says, beside the stages, which variables are not where connectedBoxes would have them.
	Kept string
	// Refusal says why the run can never be carried out.
	Refusal string
	// Wait says what the run waits for, as its message.
	Wait string
	// Again is the pause before the next look while it waits.
	Again time.Duration
}

// Answer is why an attempt could not be made.
type Answer struct {
	// ForGood: it never can.
	ForGood bool
	// Reason in one word and Message in one sentence. Without a reason the message is the run's,
	// not the stage's.
	Reason, Message string
	// Again is the pause before it is tried again, unless something changes before.
	Again time.Duration
}

// Phase is how far an attempt has come.
type Phase int

// The phases.
const (
	// Missing: there is nothing of it. Message may say what has gone.
	Missing Phase = iota
	// Made: it is there, and it is not said what it does.
	Made
	// Unplaced: no node has room for it. Reason and Message say why.
	Unplaced
	// Blocked: the container Part cannot be made as yet. Reason and Message say why.
	Blocked
	// Fetching, Working and Publishing: that part runs.
	Fetching
	Working
	Publishing
	// Ended: Part has ended it, Cause says how.
	Ended
)

// Part of an attempt: one of its containers, in the order in which they run, or what they lie in.
type Part int

// The parts.
const (
	// Pod is what holds the containers.
	Pod Part = iota
	Fetch
	// Function is the user's container.
	Function
	Publish
)

// Cause of an end.
type Cause int

// The causes.
const (
	// Exited: the part ended with ExitCode.
	Exited Cause = iota
	// OutOfMemory: the part needed more memory than it may have.
	OutOfMemory
	// Unstartable: the part could not be started.
	Unstartable
	// Evicted: the node put the pod out for using more than its own limit, which Message names.
	Evicted
	// OverDeadline: the pod lived longer than it may.
	OverDeadline
	// Lost: the pod has failed or gone without a part of it having said why.
	Lost
)

// Attempt is what is seen of one attempt of a stage, as neutral facts. Texts are fit to be shown.
type Attempt struct {
	// Made is when the attempt came into being, zero while it is missing.
	Made  time.Time
	Phase Phase
	// Since is when the phase began: of Blocked when the container could have been made, of Ended
	// the end. Zero is now.
	Since time.Time
	Part  Part
	// Complete: it has no container but Publish, and completes what is committed.
	Complete bool
	// LostAt is from when on an attempt that is to go, and of which no end is seen, is taken for lost
	// with its node. Zero: it is not to go.
	LostAt time.Time
	// SettledAt is until when the cause of an end may still come: the node says why it has killed a
	// container some time after it has said that the container has ended. Zero: it is final.
	SettledAt time.Time
	// Disrupted: the pod was put out for the sake of others or of its node.
	Disrupted bool
	// Reason and Message in the words of whoever said so.
	Reason, Message string

	// Image of a container that is Blocked, ImagePull when it is the image that is missing,
	// Hopeless when waiting cannot help.
	Image     string
	ImagePull bool
	Hopeless  bool

	// Cause and ExitCode of an end.
	Cause    Cause
	ExitCode int32
	// Retry and BoxFull are what Fetch and Publish say of their failure, in Message. Without a
	// message they said nothing.
	Retry, BoxFull bool
	// Waited is how long they had waited for storage then.
	Waited time.Duration
	// Files and Bytes that Publish left. Kept counts the copies that it did not make, because a file
	// that came after the commit lies in their place.
	Files, Kept int
	Bytes       int64
}
