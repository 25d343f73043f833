package manifest

// ExperimentPipeline is long work in containers that hand files to each other.
type ExperimentPipeline struct {
	Header
	Spec ExperimentPipelineSpec
	// Uploads are what the annotation OnUpload holds.
	Uploads []UploadRule
}

// ExperimentPipelineSpec has variables, which are files and folders, and the stages that read and write them.
type ExperimentPipelineSpec struct {
	At
	Vars           []Variable     `yaml:"vars"`
	Stages         []Stage        `yaml:"stages"`
	ConnectedBoxes []ConnectedBox `yaml:"connectedBoxes"`
	ContinueWith   *ContinueWith  `yaml:"continueWith"`
}

// Variable is a file or a folder.
type Variable struct {
	At
	Name      Text       `yaml:"name"`
	MountFrom *MountFrom `yaml:"mountFrom"`
	MountTo   Text       `yaml:"mountTo"` // the folder in the container
}

// MountFrom is a place in the developer's area of a box. A path that ends in "/" is a folder. Its fields have two names each.
type MountFrom struct {
	At
	Box    Text `yaml:"box"`
	Path   Text `yaml:"path"`
	Name   Text `yaml:"name"`   // means Box
	S3Path Text `yaml:"s3Path"` // means Path
}

// Stage is one container.
type Stage struct {
	At
	Name           Text            `yaml:"name"`
	Image          *Image          `yaml:"image"`
	Command        []string        `yaml:"command"`
	Args           []string        `yaml:"args"`
	Env            []Env           `yaml:"env"`
	EnvFrom        []EnvFrom       `yaml:"envFrom"`
	Inputs         []Ref           `yaml:"inputs"`
	Outputs        []Ref           `yaml:"outputs"`
	ResourceLimits map[string]Text `yaml:"resourceLimits"`
	Timeout        *Duration       `yaml:"timeout"`
	Retries        *int            `yaml:"retries"`
}

// ContinueWith names the pipeline that comes after this one: as a mapping, or as its bare name.
type ContinueWith struct {
	At
	ExperimentPipeline *Ref `yaml:"experimentPipeline"`
}

// Pipeline is the name; empty when there is none.
func (c *ContinueWith) Pipeline() Text {
	if c == nil || c.ExperimentPipeline == nil {
		return Text{}
	}
	return c.ExperimentPipeline.Name
}

// UploadRule starts a run when a user puts a file into a box. It is written in JSON, in an annotation: all places are the annotation's.
type UploadRule struct {
	At
	Box     Text            `yaml:"box"`
	Prefix  Text            `yaml:"prefix"` // of the path below the user's files
	Suffix  Text            `yaml:"suffix"`
	Input   Text            `yaml:"input"`   // the variable that the file becomes
	Outputs map[string]Text `yaml:"outputs"` // folders by variable: "<box>/<group>/" or, in the developer's area, "<box>:/<folder>/"
}
