// Package component is what translate, which writes the pod of an MLComponent, and server, which
// runs in it, agree on.
package component

// Containers of the pod.
const (
	// ServerContainer is ours: it has the port, the sessions and the module's key.
	ServerContainer = "server"
	// FunctionContainer is the user's.
	FunctionContainer = "function"
)

// Sizes in bytes.
const (
	// ModelSpace is the size of the model's volume; server refuses a larger model.
	ModelSpace = 5 << 30
	// FilesVolume is the size of the volume for the files of calls.
	FilesVolume = 5 << 30
	// FilesSpace is how much of FilesVolume server fills at most. kubelet evicts a pod whose volume
	// is too full, so a fifth stays free for folders and for what is being written.
	FilesSpace = 4 << 30
)
