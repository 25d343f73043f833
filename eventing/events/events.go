// Package events holds the CloudEvents of a module: their types, attributes and ids, and how they
// are published.
//
// All are CloudEvents 1.0. An event is only a hint to look at what it names: whoever receives one
// reads every fact again. That is why the attributes are names, and why an id is made of what
// happened, not of when it was told: the same news told twice has the same id.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// Types of events.
const (
	ObjectCreated  = "ru.hse.cs.unified-platform.databox.object.created.v1"
	ObjectRemoved  = "ru.hse.cs.unified-platform.databox.object.removed.v1"
	RunRequested   = "ru.hse.cs.unified-platform.pipeline.run.requested.v1"
	StageSucceeded = "ru.hse.cs.unified-platform.pipeline.stage.succeeded.v1"
	StageFailed    = "ru.hse.cs.unified-platform.pipeline.stage.failed.v1"
	RunSucceeded   = "ru.hse.cs.unified-platform.pipeline.run.succeeded.v1"
	RunFailed      = "ru.hse.cs.unified-platform.pipeline.run.failed.v1"
	RunCancelled   = "ru.hse.cs.unified-platform.pipeline.run.cancelled.v1"
)

// Ping is the type of what a PingSource of Knative sends when a schedule is due.
const Ping = "dev.knative.sources.ping"

// Extension attributes.
const (
	Box          = "box"          // of objects: the DataBox
	User         = "user"         // of objects: whose files; absent in the developer's area
	Pipeline     = "pipeline"     // of runs and stages
	Run          = "run"          // of runs and stages
	Stage        = "stage"        // of stages
	PartitionKey = "partitionkey" // the run, or the object
	TraceParent  = "traceparent"
)

// Source is where events of an object come from: kind is the plural, lower-case resource name,
// "databoxes" or "pipelines".
func Source(namespace, kind, name string) string {
	return fmt.Sprintf("/apis/unified-platform.cs.hse.ru/namespaces/%s/%s/%s", namespace, kind, name)
}

// Object is one change in a box.
type Object struct {
	Namespace, Box string
	// User whose file it is; empty in the developer's area. Path is below the user's files, or
	// below the bucket's root.
	User, Path string
	// Bucket and Key are the place in S3; Key is not encoded.
	Bucket, Key string
	Removed     bool
	ETag        string
	Version     string
	Size        int64
	Time        time.Time
	// Sequencer orders changes of one key.
	Sequencer string
}

// ObjectData is the data of an object's event.
type ObjectData struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	ETag    string `json:"etag,omitempty"`
	Version string `json:"versionId,omitempty"`
	Size    int64  `json:"size,omitempty"`
}

// ErrName is the error for a name that would come out of an event as another one, or not at all.
var ErrName = errors.New("the name of a file or of its user does not pass through an event")

// Carries reports whether names come out of an event as they went in.
func Carries(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool {
		return strings.TrimSpace(n) != n || !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl)
	})
}

// Event makes the CloudEvent of a change. Its attributes travel in headers of HTTP, which lose
// blanks at the ends and take no control characters: a file or user with such a name gets no event
// (ErrName), rather than one that speaks of somebody else's file or is tried again for ever.
func (o Object) Event() (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	if !Carries(o.User, o.Path, o.Key) {
		return e, fmt.Errorf("event of %q: %w", o.Key, ErrName)
	}
	e.SetType(ObjectCreated)
	if o.Removed {
		e.SetType(ObjectRemoved)
	}
	e.SetSource(Source(o.Namespace, "databoxes", o.Box))
	e.SetID(join(o.Bucket, o.Key, o.Version, o.ETag, o.Sequencer))
	e.SetSubject(o.Path)
	e.SetTime(o.Time.UTC())
	e.SetExtension(Box, o.Box)
	if o.User != "" {
		e.SetExtension(User, o.User)
	}
	e.SetExtension(PartitionKey, o.Bucket+"/"+o.Key)
	return finish(e, ObjectData{Bucket: o.Bucket, Key: o.Key, ETag: o.ETag, Version: o.Version, Size: o.Size})
}

// Step is what happened to a run or to one of its stages.
type Step struct {
	Type, Namespace, Pipeline, Run string
	RunUID                         string
	// Stage and Attempt only for stages.
	Stage   string
	Attempt int
	Time    time.Time
	Data    StepData
}

// StepData is the data of such an event.
type StepData struct {
	State    string            `json:"state"`
	Message  string            `json:"message,omitempty"`
	User     string            `json:"user,omitempty"`
	Attempt  int               `json:"attempt,omitempty"`
	ExitCode *int32            `json:"exitCode,omitempty"`
	Seconds  float64           `json:"durationSeconds,omitempty"`
	Outputs  map[string]string `json:"outputs,omitempty"`
}

// ID is the event's: unique without the source, the same for the same news.
func (s Step) ID() string { return join(s.RunUID, s.Stage, strconv.Itoa(s.Attempt), s.Type) }

// Event makes the CloudEvent.
func (s Step) Event() (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	e.SetType(s.Type)
	e.SetSource(Source(s.Namespace, "pipelines", s.Pipeline))
	e.SetID(s.ID())
	e.SetSubject(s.Run)
	e.SetTime(s.Time.UTC())
	e.SetExtension(Pipeline, s.Pipeline)
	e.SetExtension(Run, s.Run)
	e.SetExtension(PartitionKey, s.Run)
	if s.Stage != "" {
		e.SetExtension(Stage, s.Stage)
	}
	return finish(e, s.Data)
}

func finish(e cloudevents.Event, data any) (cloudevents.Event, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return e, fmt.Errorf("event %s: %w", e.ID(), err)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(b)); err != nil {
		return e, fmt.Errorf("event %s: %w", e.ID(), err)
	}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("event %s: %w", e.ID(), err)
	}
	return e, nil
}

// join keeps parts apart, whatever is in them.
func join(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}
