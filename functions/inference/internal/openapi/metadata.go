package openapi

// ModelVersion is the version that a component answers as in the Open Inference Protocol; there is
// one.
const ModelVersion = "1"

// Tensor is an input or output in a model's metadata.
type Tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// Model is a model's metadata ($metadata_model_response of inference_rest.md of
// kserve/open-inference-protocol).
type Model struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []Tensor `json:"inputs"`
	Outputs  []Tensor `json:"outputs"`
}

// Metadata is the metadata of a component. The protocol has one datatype for a tensor: of several
// the docstring's first.
func Metadata(name string, d Description) Model {
	return Model{Name: name, Versions: []string{ModelVersion}, Platform: "python", Inputs: tensors(d.Inputs),
		Outputs: tensors(d.Outputs)}
}

// tensors of variables: numbers, BYTES and str of any number of elements; what the platform passes
// as one text (dict, FILE, and what has no type) as BYTES of one.
func tensors(all []Variable) []Tensor {
	list := make([]Tensor, 0, len(all))
	for _, v := range all {
		t := Tensor{v.Name, "BYTES", []int{1}}
		switch k := kind(v); {
		case k == "str" && len(v.Types) > 0:
			t.Shape = []int{-1}
		case k != "str" && k != "dict" && k != "FILE":
			t.Datatype, t.Shape = k, []int{-1}
		}
		list = append(list, t)
	}
	return list
}

// kind is the type that stands for a variable's others; without any it is taken for text.
func kind(v Variable) string {
	if len(v.Types) == 0 {
		return "str"
	}
	return v.Types[0]
}
