package manifest

// ExperimentPipeline is long work in containers that hand files to each other.
type ExperimentPipeline struct {
	Header
	Spec ExperimentPipelineSpec
	// Uploads are what the annotation OnUpload holds.
	Uploads []UploadRule
}

// ExperimentPipelineSpec has variables, which are files and folders, and the stages that read and
// write them.
type ExperimentPipelineSpec struct {
	At
	// Vars: The variables. Becomes: variables of the Pipeline. Constraint: at most 256; each read
	// must be written, mounted or given.
	Vars []Variable `yaml:"vars"`
	// Stages: Required. The stages. Becomes: stages of the Pipeline, and a Job per run. Constraint:
	// 1 to 64, without a circle.
	Stages []Stage `yaml:"stages"`
	// ConnectedBoxes: Boxes, and where in containers what is in them lies: a variable without mountTo
	// whose files are below s3Path is below mountPath. Becomes: mounts of the Pipeline; the first
	// storage box that is not readOnly is where outputs go; a dataset is taken by variables without
	// a source.
	ConnectedBoxes []ConnectedBox `yaml:"connectedBoxes"`
	// ContinueWith: The pipeline that comes after this one. Becomes: stages of the same run.
	// Constraint: one of the manifests; no circle.
	ContinueWith *ContinueWith `yaml:"continueWith"`
}

// Variable is a file or a folder.
type Variable struct {
	At
	// Name: Required. Its name; a container sees it as UNIP_PIPELINE_<NAME>. Constraint: letters,
	// digits, "_", "." and "-", at most 63, a letter first.
	Name Text `yaml:"name"`
	// MountFrom: A place that it comes from when no caller gives it; of a variable that a stage
	// writes, the folder that its files go to when no caller names another one.
	MountFrom *MountFrom `yaml:"mountFrom"`
	// MountTo: Its folder in the container. Default: by connectedBoxes, else /unip/data/<name>.
	// Constraint: a clean absolute path without a colon, none of the system's.
	MountTo Text `yaml:"mountTo"`
}

// MountFrom is a place in a box. A path that ends in "/" is a folder. Its fields have two names each.
type MountFrom struct {
	At
	// Box: The DataBox (or name). Constraint: one of the manifests.
	Box Text `yaml:"box"`
	// Path: The path in the developer's area of it (or s3Path); with a "/" at its end a folder.
	// Default: of a dataset, all of it. Constraint: clean; of an input not below users/; of an output
	// a folder, where users/<path>/ is that folder of the caller.
	Path Text `yaml:"path"`
	// Name: Another word for box.
	Name Text `yaml:"name"`
	// S3Path: Another word for path.
	S3Path Text `yaml:"s3Path"`
}

// Stage is one container.
type Stage struct {
	At
	// Name: Required. Its name. Constraint: a DNS label of at most 40 characters; each once.
	Name Text `yaml:"name"`
	// Image: Required. The author's image.
	Image *Image `yaml:"image"`
	// Command: The command. Default: the image's. Becomes: command; a dollar stays a dollar,
	// nothing expands $(…).
	Command []string `yaml:"command"`
	// Args: Arguments. Default: the image's. Becomes: args, likewise.
	Args []string `yaml:"args"`
	// Env: Environment variables.
	Env []Env `yaml:"env"`
	// EnvFrom: Environment variables from objects.
	EnvFrom []EnvFrom `yaml:"envFrom"`
	// Inputs: Variables that it reads.
	Inputs []Ref `yaml:"inputs"`
	// Outputs: Variables that it writes. Constraint: one writer each.
	Outputs []Ref `yaml:"outputs"`
	// ResourceLimits: Limits by resource. Default: the installation's. Becomes: limits, and
	// requests beside them.
	ResourceLimits map[string]Quantity `yaml:"resourceLimits"`
	// Timeout: How long one attempt may take. Default: 1h, or the annotation timeout. Becomes:
	// activeDeadlineSeconds. Constraint: 1s to 720h.
	Timeout *Duration `yaml:"timeout"`
	// Retries: Further attempts after a failure. Default: 0. Constraint: 0 to 10.
	Retries *int `yaml:"retries"`
}

// ContinueWith names the pipeline that comes after this one: as a mapping, or as its bare name.
type ContinueWith struct {
	At
	// ExperimentPipeline: Required. The pipeline. Constraint: the bare name may stand in place of
	// this mapping.
	ExperimentPipeline *Ref `yaml:"experimentPipeline"`
}

// Pipeline is the name; empty when there is none.
func (c *ContinueWith) Pipeline() Text {
	if c == nil || c.ExperimentPipeline == nil {
		return Text{}
	}
	return c.ExperimentPipeline.Name
}

// UploadRule starts a run when a user puts a file into a box. It is written in JSON, in an
// annotation: all places are the annotation's.
type UploadRule struct {
	At
	// Box: Required. The box.
	Box Text `yaml:"box"`
	// Prefix: Of the path below the user's files.
	Prefix Text `yaml:"prefix"`
	// Suffix: Of the path.
	Suffix Text `yaml:"suffix"`
	// Input: Required. The variable that the file becomes.
	Input Text `yaml:"input"`
	// Outputs: Folders by variable: <box>/<group>/, or <box>:/<folder>/ in the developer's area.
	Outputs map[string]Text `yaml:"outputs"`
}
