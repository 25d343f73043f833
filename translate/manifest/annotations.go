package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
)

// Prefix is that of unip's own annotations; another one with it is an error.
const Prefix = "knative." + Group + "/"

// Annotation is a setting beyond the platform's own fields, which objects of one kind may carry.
// Annotations lists all of them: what decodes, checks, documents and describes them reads that.
type Annotation struct {
	Name    string // with Prefix
	Kind    string // of the objects that may carry it
	Text    string // what it says
	Default string // in words
	Becomes string
	Bounds  string // what its value must be, in words
	Pattern string // of its value, as a regular expression; "": any
}

// Setting is an annotation whose value is a T.
type Setting[T any] struct {
	Annotation
	Usual T // the value of an object without it
	parse func(text string) (T, error)
}

// Of is the value that an object has. Without the annotation, and with one that cannot be read,
// which is a finding, it is the usual one, and set is false.
func (s Setting[T]) Of(m *Meta, found *Diagnostics) (value T, set bool) {
	text, ok := m.Annotations[s.Name]
	if !ok {
		return s.Usual, false
	}
	value, err := s.parse(text.Value)
	if err != nil {
		found.Errorf(text.At, "metadata.annotations: %s: %q %v", s.Name, text.Value, err)
		return s.Usual, false
	}
	return value, true
}

// maxScale bounds numbers of instances: more of one function are a mistake.
const maxScale = 1000

// The values of AnonymousCalls.
const (
	Allow  = "Allow"
	Refuse = "Refuse"
)

// The values of Mounts, and of ModelUpdates.
const (
	On      = "on"
	Off     = "off"
	Swap    = "swap"
	Restart = "restart"
)

// MaxStageTimeout is the longest time of one attempt of a stage.
const MaxStageTimeout = 30 * 24 * time.Hour

// Annotations of MLComponents.
var (
	MinScale = number(Annotation{
		Name: "min-scale", Kind: "MLComponent", Text: "Instances that always run.", Bounds: ", not above max-scale",
		Becomes: "autoscaling.knative.dev/min-scale",
	}, 0, 0, maxScale)
	MaxScale = number(Annotation{
		Name: "max-scale", Kind: "MLComponent", Text: "The most instances at once; 0 is no limit.",
		Default: "the installation's, 20, or min-scale where that is more",
		Becomes: "autoscaling.knative.dev/max-scale",
	}, 0, 0, maxScale)
	Concurrency = number(Annotation{
		Name: "concurrency", Kind: "MLComponent", Text: "The most calls that one instance takes at once.",
		Default: "no limit, only a target for the autoscaler", Becomes: "containerConcurrency",
	}, 0, 1, 1000)
	// Timeout of a call. Its usual value, 0, is the installation's.
	Timeout = seconds(Annotation{
		Name: "timeout", Kind: "MLComponent", Text: "How long one call may take.",
		Default: "the installation's (300s)", Becomes: "timeoutSeconds",
		Bounds: "a time from 1s to 600s, Knative's maximum",
	}, 0, time.Second, routes.MaxTimeout)
	ScaleDownDelay = duration(Annotation{
		Name: "scale-down-delay", Kind: "MLComponent", Text: "How long an idle instance stays.",
		Default: "Knative's", Becomes: "autoscaling.knative.dev/scale-down-delay",
		Bounds: "a duration of whole seconds up to 1h",
	}, time.Hour)
	Workers = number(Annotation{
		Name: "workers", Kind: "MLComponent", Text: "Python processes per instance.", Becomes: "--workers",
	}, 1, 1, 64)
	// ModelUpdates is how a model that changes is taken up.
	ModelUpdates = choice(Annotation{
		Name: "model-updates", Kind: "MLComponent",
		Text: "How an instance takes up a model that changes: `swap`, a worker loads it beside the one that it" +
			" replaces; `restart`, after that has ended, so that calls wait and never two models lie in memory; `off`," +
			" not at all.",
		Becomes: "--model-updates",
	}, Swap, Restart, Off)
	AnonymousCalls = choice(Annotation{
		Name: "anonymous-calls", Kind: "MLComponent",
		Text: "Whether calls that do not come through the gateway are answered, which any pod of the cluster can make;" +
			" they have no user and no files.",
		Becomes: "--anonymous-calls",
	}, Refuse, Allow)
	Mounts = choice(Annotation{
		Name: "mounts", Kind: "MLComponent",
		Text:    "Whether the files of connectedBoxes lie at their mountPaths; off leaves FILE values and the model.",
		Becomes: "the volume mounts of the container function, or none",
	}, On, Off)
)

// NoOrigins is the value of Origins for no site at all.
const NoOrigins = "none"

// Origins is an annotation of APIComponents: the sites whose pages may call.
var Origins = list(Annotation{
	Name: "origins", Kind: "APIComponent",
	Text: "Sites whose pages may call from a browser, with commas between, such as" +
		" `https://app.example.org, http://localhost:3000`; `none` for none.",
	Default: "the installation's `gateway.origins`: none",
	Becomes: "trustedOrigins of the API's route",
	Bounds:  "each a scheme, a host in small letters, and a port where it is not the usual one",
}, NoOrigins, routes.CheckOrigin)

// SharedWith is an annotation of DataBoxes.
var SharedWith = text(Annotation{
	Name: "shared-with", Kind: "DataBox", Text: "Namespaces that may refer to it, as globs with commas between.",
	Default: "none", Becomes: "the same annotation of the DataBox",
	Bounds: "what lies below users/ is never shared (a note)",
})

// Developers is an annotation of DataBoxes: who may write weights without a kubeconfig.
var Developers = list(Annotation{
	Name: "developers", Kind: "DataBox",
	Text: "Who may write into the developer's area through the module's files API, `unip files put FILE BOX:/PATH`: whole" +
		" identities with commas between, such as `oidc:ann, basic:leaves-users/boris`.",
	Default: "nobody; by Kubernetes, who may change the DataBox",
	Becomes: "the same annotation of the DataBox, and `developers` of the gateway's routes",
	Bounds:  "`basic:<Secret>/<user>`, or what stands before users of tokens with the name; a storage box; the files API has auth",
}, "", users.CheckDeveloper)

// DatasetSharedWith is an annotation of DatasetComponents.
var DatasetSharedWith = text(Annotation{
	Name: "shared-with", Kind: "DatasetComponent",
	Text:    "Namespaces whose DataBoxes may refer to it, as globs with commas between.",
	Default: "none (a note)", Becomes: "the same annotation of the DatasetComponent",
	Bounds: "what lies below users/ is never shared; a name that is taken out gets no new session",
})

// Annotations of ExperimentPipelines.
var (
	MaxParallelRuns = number(Annotation{
		Name: "max-parallel-runs", Kind: "ExperimentPipeline", Text: "Runs at once; others wait. 0 is no limit.",
		Default: "no limit", Becomes: "maxParallelRuns of the Pipeline",
	}, 0, 0, 1000)
	StageTimeout = seconds(Annotation{
		Name: "timeout", Kind: "ExperimentPipeline", Text: "How long one attempt of a stage may take.",
		Default: "1h", Becomes: "activeDeadlineSeconds", Bounds: "a time from 1s to 720h0m0s, which is 30 days",
	}, time.Hour, time.Second, MaxStageTimeout)
	// OnUpload is decoded with the manifest: ExperimentPipeline.Uploads.
	OnUpload = text(Annotation{
		Name: "on-upload", Kind: "ExperimentPipeline",
		Text:    "Rules by which an uploaded file starts a run, as a JSON list.",
		Becomes: "a Trigger per rule",
	})
	Schedule = text(Annotation{
		Name: "schedule", Kind: "ExperimentPipeline",
		Text: "When runs start that nobody asks for: a cron line, with CRON_TZ=Area/City and a blank in front for a" +
			" time zone.",
		Default: "none; UTC", Becomes: "a PingSource, and schedule and timeZone of the Pipeline",
		Bounds: "five fields, or @hourly, @daily, @weekly, @monthly, @yearly; no variable that a run must name",
	})
)

// Annotations are all of them, in the order of the documentation.
var Annotations = []Annotation{
	MinScale.Annotation, MaxScale.Annotation, Concurrency.Annotation, Timeout.Annotation, ScaleDownDelay.Annotation,
	Workers.Annotation, ModelUpdates.Annotation, AnonymousCalls.Annotation, Mounts.Annotation,
	Origins.Annotation, SharedWith.Annotation, Developers.Annotation, DatasetSharedWith.Annotation,
	MaxParallelRuns.Annotation, StageTimeout.Annotation, OnUpload.Annotation, Schedule.Annotation,
}

// annotated reports whether objects of a kind may carry an annotation of that name.
func annotated(kind, name string) bool {
	return slices.ContainsFunc(Annotations, func(a Annotation) bool { return a.Kind == kind && a.Name == name })
}

// number is a whole number within bounds; what Bounds says comes behind them.
func number(a Annotation, usual, least, most int) Setting[int] {
	within := fmt.Sprintf("%d to %d", least, most)
	a.Name, a.Bounds, a.Pattern = Prefix+a.Name, within+a.Bounds, "^[+-]?[0-9]+$"
	if a.Default == "" {
		a.Default = strconv.Itoa(usual)
	}
	return Setting[int]{a, usual, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("is not a whole number from %s", within)
		}
		return n, nil
	}}
}

// seconds is a time of whole seconds within bounds, with a unit or without; Bounds says it in
// words.
func seconds(a Annotation, usual, least, most time.Duration) Setting[time.Duration] {
	a.Name = Prefix + a.Name
	return Setting[time.Duration]{a, usual, func(text string) (time.Duration, error) {
		d, err := ParseDuration(text)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("is not %s", a.Bounds)
		}
		return d, nil
	}}
}

// duration is seconds with a unit, which Knative wants, from none on.
func duration(a Annotation, most time.Duration) Setting[time.Duration] {
	a.Name = Prefix + a.Name
	return Setting[time.Duration]{a, 0, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > most || d%time.Second != 0 {
			return 0, fmt.Errorf("is not %s", a.Bounds)
		}
		return d, nil
	}}
}

// choice is one of some words; the first is the usual one.
func choice(a Annotation, usual string, others ...string) Setting[string] {
	words := append([]string{usual}, others...)
	last := len(words) - 1
	a.Name, a.Default = Prefix+a.Name, usual
	a.Bounds, a.Pattern = strings.Join(words[:last], ", ")+" or "+words[last], "^("+strings.Join(words, "|")+")$"
	return Setting[string]{a, usual, func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("is not %s", a.Bounds)
		}
		return text, nil
	}}
}

// list is words with commas between, each of which check takes; the word none alone is no word.
func list(a Annotation, none string, check func(string) error) Setting[[]string] {
	a.Name = Prefix + a.Name
	return Setting[[]string]{a, nil, func(text string) ([]string, error) {
		if strings.TrimSpace(text) == none {
			return nil, nil
		}
		var words []string
		for word := range strings.SplitSeq(text, ",") {
			word = strings.TrimSpace(word)
			if err := check(word); err != nil {
				return nil, fmt.Errorf("has a part that is wrong: %w", err)
			}
			if !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
		return words, nil
	}}
}

// text is taken as it is.
func text(a Annotation) Setting[string] {
	a.Name = Prefix + a.Name
	return Setting[string]{a, "", func(text string) (string, error) { return text, nil }}
}

// Short is the name without Prefix, as documentation has it.
func (a Annotation) Short() string { return strings.TrimPrefix(a.Name, Prefix) }
