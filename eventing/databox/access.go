package databox

import "github.com/unip-knative/unip/eventing/names"

// Access says what a session may do with a bucket.
type Access string

// What runs are given: exactly the paths that a grant names.
const (
	Read  Access = "read"
	Write Access = "write" // read and write
	Copy  Access = "copy"  // write, and look at what lies there: S3 has no right to look alone
)

// Uses of a box, each with a session of its own (spec.sessions of a DataBox).
const (
	Files     Access = "files"      // the file API looks at users' files and deletes them
	PutLinks  Access = "put-links"  // signs links to write users' files
	GetLinks  Access = "get-links"  // signs links to read users' files
	Calls     Access = "calls"      // FILE inputs and outputs of calls
	CallsRead Access = "calls-read" // FILE inputs only
	Model     Access = "model"      // one object or folder of the developer's
	// What a component mounts: a folder of the developer's area, Root for all of it. Nothing of
	// users/ is in it.
	Mount      Access = "mount"       // list and read
	MountWrite Access = "mount-write" // store what calls write there
)

// AuthorPut is no use of a box: nobody holds it. For a module's author it signs the link by which one
// object of the developer's area is written (see package put).
const AuthorPut Access = "author-put"

// Root is the object of Mount and MountWrite for the developer's whole area.
const Root = "/"

// HasObject reports the uses that are of one object or folder, each with a session of its own.
func (a Access) HasObject() bool { return a == Model || a == Mount || a == MountWrite }

// What the uses come to in a box that is a dataset: the developer's area of the owner's box.
const (
	DatasetFiles Access = "dataset-files" // list, folder by folder, and read
	DatasetRead  Access = "dataset-read"  // signs links to read
)

// Secret is the name of the Secret with the session of a box for this use. There is one for each
// object of the uses that have some; object is empty for the others.
func (a Access) Secret(box, object string) string { return names.SessionSecret(box, string(a), object) }
