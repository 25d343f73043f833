package v1alpha1

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/names"
)

// Pipeline is an ExperimentPipeline that has been checked: its variables, its stages, and what an
// upload starts. The order of stages follows from the variables: a stage comes after those that
// write what it reads.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=upl,categories=unip
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Continues",type=string,JSONPath=`.spec.continueWith`
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.schedule.lastScheduleTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="a pipeline's name has 1 to 40 of a-z, 0-9 and '-', begins with a letter and has no '-' at its end"
type Pipeline struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PipelineSpec   `json:"spec"`
	Status PipelineStatus `json:"status,omitempty"`
}

// PipelineSpec says what a run of the pipeline does.
type PipelineSpec struct {
	// Variables are files and folders that stages read and write.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	Variables []Variable `json:"variables"`
	// Stages are containers; those that do not wait for each other run in parallel.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Stages []Stage `json:"stages"`
	// DefaultBox is the box that takes outputs for which a run names no place. Without one such
	// outputs stay in the run bucket only.
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$`
	// +optional
	DefaultBox string `json:"defaultBox,omitempty"`
	// Kept are variables that runs leave although a later stage reads them: an API of the pipeline
	// names them among its outputs. Without a place of their own they go to the default box.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	// +listType=set
	// +optional
	Kept []string `json:"kept,omitempty"`
	// Mounts say where in the stages' containers what is in boxes usually lies: variables without a
	// mountTo.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Mounts []Mount `json:"mounts,omitempty"`
	// ContinueWith is the pipeline that a run of this one goes on with: one run, the variables of
	// one name are one variable.
	// +kubebuilder:validation:Pattern=`^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$`
	// +optional
	ContinueWith string `json:"continueWith,omitempty"`
	// OnUpload are the rules by which an uploaded file starts a run.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	OnUpload []UploadRule `json:"onUpload,omitempty"`
	// IdentityPassThrough lets the stages of runs that uploads start know whose file it was.
	// +optional
	IdentityPassThrough bool `json:"identityPassThrough,omitempty"`
	// Schedule is a cron line of five fields, or a descriptor such as @daily, by which runs start
	// that nobody asks for. They have no user.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// TimeZone of the schedule, from the IANA database. Default UTC.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// MaxParallelRuns is how many runs may be under way at once; others wait. 0 is no limit.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxParallelRuns int32 `json:"maxParallelRuns,omitempty"`
}

// Variable is one file or folder.
type Variable struct {
	// Name as in the API. A container sees it as UNIP_PIPELINE_<NAME>, in upper case, other
	// characters than letters and digits as "_".
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	Name string `json:"name"`
	// MountFrom is where a variable comes from when the caller does not name it: the developer's
	// constant data, or, with an empty path, a whole dataset. Of a variable that a stage writes it
	// is the folder that its files go to: the developer's, or with "users/<path>/" the run's user's.
	// +optional
	MountFrom *BoxPath `json:"mountFrom,omitempty"`
	// MountTo is the path in the container: of the folder for a folder, of the folder that the file
	// lies in for a file. Default: by the Pipeline's mounts, else /unip/data/<name>.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	MountTo string `json:"mountTo,omitempty"`
	// ContentTypes are the media types that an uploaded file must have to be this variable; none is
	// all. Those of calls are checked by the gateway.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=atomic
	// +optional
	ContentTypes []string `json:"contentTypes,omitempty"`
}

// Mount maps a folder of a box to one of the container.
type Mount struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Box string `json:"box"`
	// Path of the folder in the developer's area, "" for all of the box; users/<path> is that folder
	// among the files of the run's own user, whoever that is.
	// +kubebuilder:validation:MaxLength=1200
	// +optional
	Path string `json:"path,omitempty"`
	// MountPath is the folder of the container.
	// +kubebuilder:validation:MaxLength=1024
	MountPath string `json:"mountPath"`
}

// BoxPath is a place in a box. A path that ends in "/" is a folder.
type BoxPath struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Box string `json:"box"`
	// +kubebuilder:validation:MaxLength=1200
	Path string `json:"path"`
}

// Stage is one container.
type Stage struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`
	Name string `json:"name"`
	// +kubebuilder:validation:MinLength=1
	Image string `json:"image"`
	// Command replaces the image's entrypoint, Args its arguments, as in Kubernetes.
	// +optional
	// +listType=atomic
	Command []string `json:"command,omitempty"`
	// +optional
	// +listType=atomic
	Args []string `json:"args,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=name
	Env []EnvVar `json:"env,omitempty"`
	// EnvFrom takes all keys of Secrets and ConfigMaps of the module as environment variables.
	// Objects that unip manages are refused.
	// +optional
	// +listType=atomic
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`
	// ImagePullSecrets are Secrets of the module with which the image is pulled. Objects that unip
	// manages are refused.
	// +optional
	// +listType=atomic
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// Labels of the stage's Jobs, pods and Secrets of sessions; those of the first stage are the
	// runs' as well. unip's own win; those that steer a cluster are refused.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Inputs and Outputs are names of variables.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	// +optional
	// +listType=set
	Inputs []string `json:"inputs,omitempty"`
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	// +optional
	// +listType=set
	Outputs []string `json:"outputs,omitempty"`
	// Resources of the container.
	// +optional
	Resources Resources `json:"resources,omitempty"`
	// TimeoutSeconds is how long the container may run.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	TimeoutSeconds int64 `json:"timeoutSeconds"`
	// Retries is how many further attempts a failed stage gets.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	// +optional
	Retries int32 `json:"retries,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name string `json:"name"`
	// +optional
	Value string `json:"value,omitempty"`
	// ValueFrom is where the value is, in place of Value.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is a key of a Secret or of a ConfigMap of the module. Objects that unip manages are
// refused.
type EnvVarSource struct {
	// +optional
	SecretKeyRef *corev1.SecretKeySelector `json:"secretKeyRef,omitempty"`
	// +optional
	ConfigMapKeyRef *corev1.ConfigMapKeySelector `json:"configMapKeyRef,omitempty"`
}

// Resources of a container, by resource name.
type Resources struct {
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`
}

// UploadRule starts a run when a user puts a file into a box.
type UploadRule struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Box string `json:"box"`
	// Prefix and Suffix of the file's path below the uploading user's files.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// +optional
	Suffix string `json:"suffix,omitempty"`
	// Input is the variable that the file becomes.
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	Input string `json:"input"`
	// Outputs are the places of outputs; those not named go to <defaultBox>/<pipeline>/<run>/.
	// +optional
	// +listType=map
	// +listMapKey=variable
	Outputs []UploadOutput `json:"outputs,omitempty"`
}

// UploadOutput is the folder that takes one output. The box stands in a field of its own, so that
// tools which rename objects find it.
type UploadOutput struct {
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`
	Variable string `json:"variable"`
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Box string `json:"box"`
	// Path ends in "/".
	// +kubebuilder:validation:MaxLength=1200
	Path string `json:"path"`
	// Developer means the developer's area of the box; otherwise the path is among the uploading
	// user's files.
	// +optional
	Developer bool `json:"developer,omitempty"`
}

// ID is made of the rule's content alone: a rule that moves in the list stays the same, and one that
// changes is another one. Two of the same content are one.
func (r UploadRule) ID() string {
	parts := []string{r.Box, r.Prefix, r.Suffix, r.Input}
	outputs := make([]string, 0, len(r.Outputs))
	for _, o := range r.Outputs {
		outputs = append(outputs, names.Hash(o.Variable, o.Place()))
	}
	slices.Sort(outputs)
	return names.Hash(append(parts, outputs...)...)
}

// Meets reports whether the rule is about a file of a user in a box; path is below the user's files.
func (r UploadRule) Meets(box, path string) bool {
	return r.Box == box && strings.HasPrefix(path, r.Prefix) && strings.HasSuffix(path, r.Suffix)
}

// Place is the folder as a run's spec.outputs has it.
func (o UploadOutput) Place() string {
	if o.Developer {
		return o.Box + ":/" + o.Path
	}
	return o.Box + "/" + o.Path
}

// PipelineStatus is what the controller says of a pipeline.
type PipelineStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready, and for a pipeline with a schedule Scheduled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Address is where the controller takes events of this pipeline: a Trigger may have the
	// Pipeline as its subscriber (it is an Addressable of Knative).
	// +optional
	Address *Address `json:"address,omitempty"`
	// NamespaceUID is the UID of the namespace for which the bucket of the module's runs was claimed.
	// +optional
	NamespaceUID types.UID `json:"namespaceUID,omitempty"`
	// Schedule is how far the schedule has been followed.
	// +optional
	Schedule *ScheduleStatus `json:"schedule,omitempty"`
	// Uploads says since when each on-upload rule holds.
	// +optional
	Uploads *UploadsStatus `json:"uploads,omitempty"`
}

// UploadsStatus is how long the on-upload rules have been there.
type UploadsStatus struct {
	// SeenTime is when the pipeline was first seen by a release that knows rules by their content,
	// by the clock of the S3 server.
	SeenTime metav1.Time `json:"seenTime"`
	// Upgraded says that an earlier release may have started runs of it.
	// +optional
	Upgraded bool `json:"upgraded,omitempty"`
	// Rules are those of spec.onUpload.
	// +optional
	// +listType=map
	// +listMapKey=rule
	Rules []UploadRuleStatus `json:"rules,omitempty"`
}

// UploadRuleStatus is one on-upload rule.
type UploadRuleStatus struct {
	// Rule is made of the rule's content, wherever it stands in the list.
	Rule string `json:"rule"`
	// SinceTime is from when on the rule holds, by the clock of the S3 server: a file that was there
	// before starts nothing.
	SinceTime metav1.Time `json:"sinceTime"`
}

// Since is from when on a rule holds; ok is false for one that has not been seen yet.
func (u *UploadsStatus) Since(rule string) (since time.Time, ok bool) {
	if u == nil {
		return time.Time{}, false
	}
	i := slices.IndexFunc(u.Rules, func(r UploadRuleStatus) bool { return r.Rule == rule })
	if i < 0 {
		return time.Time{}, false
	}
	return u.Rules[i].SinceTime.Time, true
}

// Address is what Knative's Addressable has in its status.
type Address struct {
	URL string `json:"url"`
}

// ScheduleStatus is how far a schedule has been followed.
type ScheduleStatus struct {
	// Line is the schedule that is followed, with its time zone. Another one is followed from when
	// it is first seen.
	Line string `json:"line"`
	// SettledTime: what was due until then starts nothing any more. It has, or it was passed over,
	// or the schedule had not been seen yet.
	SettledTime metav1.Time `json:"settledTime"`
	// LastScheduleTime is the due time of the last run, not when that began.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// LastMissedTime is the first of the due times that were passed over last.
	// +optional
	LastMissedTime *metav1.Time `json:"lastMissedTime,omitempty"`
	// Missed counts how often due times were passed over.
	// +optional
	Missed int64 `json:"missed,omitempty"`
}

// PipelineList is a list of pipelines.
//
// +kubebuilder:object:root=true
type PipelineList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Pipeline `json:"items"`
}
