package v1alpha1

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PipelineLabel on a run and its Jobs names the pipeline, RunLabel on its Jobs the run, StageLabel
// the stage (a chain's "<pipeline>/<stage>" with a "." for the slash).
const (
	PipelineLabel = "knative.unified-platform.cs.hse.ru/pipeline"
	RunLabel      = "knative.unified-platform.cs.hse.ru/run"
	StageLabel    = "knative.unified-platform.cs.hse.ru/stage"
)

// EventLostAnnotation stands on a run that was started without the event that should have: its value
// says of which. The run's condition EventsLost tells it.
const EventLostAnnotation = "knative.unified-platform.cs.hse.ru/event-lost"

// TraceParentAnnotation is the span of the call that has asked for the run, as W3C Trace Context writes
// it: the run's spans are below it.
const TraceParentAnnotation = "knative.unified-platform.cs.hse.ru/traceparent"

// UploadedAnnotation is when S3 had the file for which a run was started, as RFC 3339 writes it: the
// run's trace begins there.
const UploadedAnnotation = "knative.unified-platform.cs.hse.ru/uploaded"

// ConditionPlaced is False on a run whose variables are not all where connectedBoxes would have them.
// Of other runs nothing is said.
const ConditionPlaced = "Placed"

// Origins of a run.
const (
	OriginAPI        = "API"        // a call of the module's API
	OriginUpload     = "Upload"     // an uploaded file, by a rule of the pipeline
	OriginSchedule   = "Schedule"   // the pipeline's schedule
	OriginKubernetes = "Kubernetes" // whoever made the PipelineRun by hand
)

// PipelineRun is one run of a pipeline. Its spec never changes, but for cancel.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=uplr,categories=unip
// +kubebuilder:printcolumn:name="Pipeline",type=string,JSONPath=`.spec.pipeline`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`,priority=1
// +kubebuilder:printcolumn:name="Started",type=date,JSONPath=`.status.startTime`
// +kubebuilder:printcolumn:name="Ended",type=date,JSONPath=`.status.completionTime`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$')",message="a run's name has 1 to 53 of a-z, 0-9 and '-', and no '-' at its ends"
type PipelineRun struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PipelineRunSpec   `json:"spec"`
	Status PipelineRunStatus `json:"status,omitempty"`
}

// PipelineRunSpec says what is wanted.
//
// +kubebuilder:validation:XValidation:rule="self.pipeline == oldSelf.pipeline && self.inputs == oldSelf.inputs && self.outputs == oldSelf.outputs && self.user == oldSelf.user && self.idempotencyKey == oldSelf.idempotencyKey && self.origin == oldSelf.origin && self.identityPassThrough == oldSelf.identityPassThrough",message="a run cannot be changed, only cancelled: create another one"
// +kubebuilder:validation:XValidation:rule="!oldSelf.cancel || self.cancel",message="a cancelled run stays cancelled"
type PipelineRunSpec struct {
	// Pipeline is the name of the Pipeline in the same namespace.
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`
	Pipeline string `json:"pipeline"`
	// Inputs are files ("<box>/<group>/<file>") and folders ("<box>/<group>/") by variable, among
	// the files of User; "<box>:/<path>" is in the developer's area.
	// +kubebuilder:validation:MaxProperties=4096
	// +kubebuilder:default={}
	Inputs map[string]InputPath `json:"inputs"`
	// Outputs are the folders that get a copy of what the run leaves, written alike.
	// +kubebuilder:validation:MaxProperties=4096
	// +kubebuilder:default={}
	Outputs map[string]string `json:"outputs"`
	// User whose files are meant; a developer's run may have none and then only names the
	// developer's area.
	// +kubebuilder:default=""
	User string `json:"user"`
	// IdentityPassThrough lets the stages know User, as UNIP_USER in their environment.
	// +kubebuilder:default=false
	IdentityPassThrough bool `json:"identityPassThrough"`
	// IdempotencyKey as the caller gave it.
	// +kubebuilder:default=""
	IdempotencyKey string `json:"idempotencyKey"`
	// Origin says how the run came about: API, Upload, Schedule or Kubernetes.
	// +kubebuilder:validation:Enum=API;Upload;Schedule;Kubernetes
	// +kubebuilder:default=Kubernetes
	// +optional
	Origin string `json:"origin,omitempty"`
	// Cancel ends the run: what runs is stopped, nothing more is started.
	// +kubebuilder:default=false
	Cancel bool `json:"cancel"`
}

// InputPath is one input.
type InputPath struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1200
	Path string `json:"path"`
	// ETag pins the version of a file; without it the version is the one that is there when the run
	// begins.
	// +optional
	ETag string `json:"etag,omitempty"`
}

// State of a run or of a stage.
type State string

// The states. A stage is Pending while it waits for others, and Skipped when the run has ended
// without it.
const (
	Pending   State = "Pending"
	Running   State = "Running"
	Succeeded State = "Succeeded"
	Failed    State = "Failed"
	Cancelled State = "Cancelled"
	Skipped   State = "Skipped"
)

// Done reports an end.
func (s State) Done() bool { return s == Succeeded || s == Failed || s == Cancelled || s == Skipped }

// PipelineRunStatus is the truth about what has ended; about a running stage it is the Job.
type PipelineRunStatus struct {
	// +optional
	State State `json:"state,omitempty"`
	// Message says in one sentence why a run failed or what it waits for.
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Stages as they were resolved when the run began, in an order in which they could run one
	// after the other; what changes in the Pipeline later does not touch the run.
	// +optional
	// +listType=map
	// +listMapKey=name
	Stages []StageStatus `json:"stages,omitempty"`
	// Outputs are the places of the outputs, by variable.
	// +optional
	Outputs map[string]string `json:"outputs,omitempty"`
	// Published are the ids of the run's events that the Broker has taken.
	// +optional
	// +listType=set
	Published []string `json:"published,omitempty"`
	// Recorded says that run.json lies beside the outputs.
	// +optional
	Recorded bool `json:"recorded,omitempty"`
	// Conditions: Succeeded (Unknown while the run goes on), EventsLost (a step had to be done
	// without its event), Placed (False: variables are not where connectedBoxes would have them).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// StageStatus is one stage of a run: what was resolved, and what came of it.
type StageStatus struct {
	// Name; in a chain "<pipeline>/<stage>".
	Name string `json:"name"`
	// Spec is the stage as the pipeline had it.
	Spec Stage `json:"spec"`
	// Needs are the stages whose outputs it reads.
	// +optional
	// +listType=set
	Needs []string `json:"needs,omitempty"`
	// Inputs and Outputs with their places.
	// +optional
	// +listType=map
	// +listMapKey=name
	Inputs []ResolvedInput `json:"inputs,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=name
	Outputs []ResolvedOutput `json:"outputs,omitempty"`

	// +optional
	State State `json:"state,omitempty"`
	// Reason is one word, as Kubernetes': Error, OOMKilled, ImagePull, DeadlineExceeded, Evicted,
	// StorageError, TransferDied, InvalidOutput.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// Attempt is the one that runs or ran last, from 1.
	// +optional
	Attempt int `json:"attempt,omitempty"`
	// ExitCode of the user's container.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// Job of the attempt.
	// +optional
	Job string `json:"job,omitempty"`
	// RanAttempt is the last attempt in which the user's container may have run, once the stage has
	// a commit: those after it only complete what was committed.
	// +optional
	RanAttempt int `json:"ranAttempt,omitempty"`
	// Failures are the attempts that failed by the stage's own doing. Its retries bound them.
	// +optional
	Failures int `json:"failures,omitempty"`
	// PublishFailures are the attempts in which the user's container has run and publish has then
	// failed, though not by the stage's doing. There are at most six of them without a commit.
	// +optional
	PublishFailures int `json:"publishFailures,omitempty"`
	// WaitingSince is the first failure that was not the stage's doing (storage, API server, node)
	// since the user's container ran last.
	// +optional
	WaitingSince *metav1.MicroTime `json:"waitingSince,omitempty"`
	// WaitedSeconds is how long it has waited so before, in all. The installation's patience bounds
	// both together.
	// +optional
	WaitedSeconds int64 `json:"waitedSeconds,omitempty"`
	// DueTime is when the last stage that it needs had ended, or when its next attempt is due. A stage
	// that waits after an attempt, and has none, is tried no more.
	// +optional
	DueTime *metav1.MicroTime `json:"dueTime,omitempty"`
	// StartTime is when the Job was created, CompletionTime when publish had ended.
	// +optional
	StartTime *metav1.MicroTime `json:"startTime,omitempty"`
	// +optional
	CompletionTime *metav1.MicroTime `json:"completionTime,omitempty"`
	// Files and Bytes that the winner left.
	// +optional
	Files int `json:"files,omitempty"`
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
}

// LogAttempt is the attempt whose log is the stage's: the last one in which the user's container may
// have run.
func (s *StageStatus) LogAttempt() int { return cmp.Or(s.RanAttempt, s.Attempt) }

// ResolvedInput says where an input comes from and goes to: one of Key, Prefix, Whole and Stage is
// set.
type ResolvedInput struct {
	Name string `json:"name"`
	// Path in the container.
	Path string `json:"path"`
	// Mount is the mountPath of connectedBoxes that Path is at or below; empty for one that lies in
	// a folder of its own.
	// +optional
	Mount string `json:"mount,omitempty"`
	// +optional
	Bucket string `json:"bucket,omitempty"`
	// +optional
	Key string `json:"key,omitempty"`
	// +optional
	ETag string `json:"etag,omitempty"`
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// Whole is all of the bucket but users' files.
	// +optional
	Whole bool `json:"whole,omitempty"`
	// Stage that writes it.
	// +optional
	Stage string `json:"stage,omitempty"`
}

// ResolvedOutput says where an output goes.
type ResolvedOutput struct {
	Name string `json:"name"`
	// Path in the container.
	Path string `json:"path"`
	// Mount as of an input.
	// +optional
	Mount string `json:"mount,omitempty"`
	// Bucket and Prefix that get a copy; none for what only other stages read.
	// +optional
	Bucket string `json:"bucket,omitempty"`
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// Box is the one whose bucket that is; its capacity counts.
	// +optional
	Box string `json:"box,omitempty"`
	// Capacity is what the box may hold, in bytes, for as long as nobody has counted what is in it.
	// +optional
	Capacity int64 `json:"capacity,omitempty"`
}

// PipelineRunList is a list of runs.
//
// +kubebuilder:object:root=true
type PipelineRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PipelineRun `json:"items"`
}
