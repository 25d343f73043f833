// Package needs lists what unip needs of an S3 server: one check by name for each need, what of unip
// it is for, and what follows where it is not met. Package s3/check tries them on a server; whoever
// only shows results needs no S3 client.
package needs

import "slices"

// Need is one thing that unip needs of an S3 server.
type Need struct {
	Name string
	// For is what of unip needs it.
	For string
	// Without is what follows where it is not met: what falls back, and what is off.
	Without string
	// Must says that unip is not to be used without it.
	Must bool
	// ClosesUploads says that the gateway gives no upload links where it is not met.
	ClosesUploads bool
}

// noLinks begins what follows where upload links are closed.
const noLinks = "no upload links: the gateway answers 501, and so does unip files put. "

// Needs are all of them, in the order in which they are tried.
var Needs = []Need{
	Buckets, BucketTags, Versions, Lifecycle,
	WriteOnce, WriteOver, ReadOne, Content, Checksums, Parts, Copy, CopyParts, DeleteMany, ObjectTags,
	Names, LongNames, FileAndFolder,
	GetLink, PutLink, PutLength, LinkEnds,
	Sessions, SessionLimits, SessionPaths, SessionPlain,
	Notifications, Told,
	LinkCopies, LinkUnpacks, LinkElsewhere, LinkSubresource, LinkMethod, LinkHeaders, LinkReads,
}

// Of is the need of a name.
func Of(name string) (Need, bool) {
	i := slices.IndexFunc(Needs, func(n Need) bool { return n.Name == name })
	if i < 0 {
		return Need{}, false
	}
	return Needs[i], true
}

// Buckets, and what is kept beside their objects.
var (
	Buckets = Need{Name: "buckets", Must: true,
		For:     "each DataBox, and the runs of each module, have a bucket of their own",
		Without: "no DataBox becomes Ready"}
	BucketTags = Need{Name: "bucket tags", Must: true,
		For:     "the tags of a bucket say whose it is",
		Without: "no DataBox becomes Ready: unip uses no bucket of which it cannot know whose it is"}
	Versions = Need{Name: "listing of versions", Must: true,
		For:     "a bucket that is taken, or deleted with its box, has nothing left in it",
		Without: "no DataBox becomes Ready, and reclaimPolicy Delete deletes none"}
	Lifecycle = Need{Name: "lifecycle", Must: true,
		For:     "what runs leave goes after 30 days, and the records of starts after 90",
		Without: "no Pipeline becomes Ready; files, models and predict work"}
)

// Objects.
var (
	WriteOnce = Need{Name: "write once", Must: true,
		For:     "one attempt of a stage counts, and one file starts one run (If-None-Match: *)",
		Without: "use no pipelines: two attempts of a stage may both count, and a file may start two runs"}
	WriteOver = Need{Name: "write over a version",
		For:     "nothing of unip yet; other clients of a box may (If-Match)",
		Without: "nothing changes for unip"}
	ReadOne = Need{Name: "ranges of one version", Must: true,
		For:     "a download in parts is of one version of the object (If-Match with Range)",
		Without: "files and models fail to come, or are a mixture where they change meanwhile"}
	Content = Need{Name: "content is compared",
		For:     "what is damaged on its way is not stored (SHA-256 and MD5 of a request)",
		Without: "damage on the way to the server is found late, by the checksums of runs, or never: use https"}
	Checksums = Need{Name: "checksums are kept",
		For:     "a file that comes into a pod is compared with the checksum of its upload (CRC32C, SHA-256)",
		Without: "files of boxes are compared by their length alone; those of runs have checksums of unip's own"}
	Parts = Need{Name: "upload in parts", Must: true,
		For:     "what is larger than 16 MiB is stored in parts",
		Without: "stages and calls fail whose files are larger than 16 MiB"}
	Copy = Need{Name: "copy", Must: true,
		For:     "the outputs of a stage get into boxes without coming back from the server",
		Without: "stages fail whose outputs go to a box"}
	CopyParts = Need{Name: "copy in parts",
		For:     "the same for files larger than 256 MiB (UploadPartCopy)",
		Without: "stages fail that put files larger than 256 MiB into a box"}
	DeleteMany = Need{Name: "delete many", Must: true,
		For:     "folders of files are deleted, and buckets with their boxes",
		Without: "DELETE of a folder fails, and reclaimPolicy Delete deletes nothing"}
	ObjectTags = Need{Name: "object tags",
		For:     "nothing of unip; other clients of a box may",
		Without: "nothing changes for unip"}
	Names = Need{Name: "names as people write them", Must: true,
		For:     "files have names with Cyrillic letters, blanks, +, %41",
		Without: "files with the names of the answer are refused, or become others"}
	LongNames = Need{Name: "long names",
		For:     "a key has up to 1,024 bytes",
		Without: "files deep in folders with long names are refused by the server"}
	FileAndFolder = Need{Name: "a file beside a folder of its name",
		For:     "the names a and a/b are two files",
		Without: "the second of the two is refused by the server"}
)

// Links, for what they are given out.
var (
	GetLink = Need{Name: "download links", Must: true,
		For:     "the file API gives links to read, and says how a browser shows the file",
		Without: "the file API gives links that do not work, or that let a browser run what others uploaded"}
	PutLink = Need{Name: "upload links", Must: true,
		For:     "the file API gives links to write, and so does unip files put",
		Without: "nobody uploads files"}
	PutLength = Need{Name: "length of an upload",
		For:     "a link for ?size=N takes N bytes and no other number",
		Without: "a user can fill a box beyond its capacity; that is seen when it is counted next"}
	LinkEnds = Need{Name: "links end", Must: true,
		For:     "a link works until its time is over, and nobody can make that later",
		Without: "who has seen a link has the file for ever: do not give the file API to people"}
)

// Sessions.
var (
	Sessions = Need{Name: "sessions",
		For:     "each pod holds keys of an hour for what it does (STS AssumeRole with a session policy)",
		Without: "s3.sts.none: true, and a pair of keys of its own for each box; a box without is not Ready"}
	SessionLimits = Need{Name: "limits of sessions",
		For:     "a session opens its own part of its own bucket and does what it is for",
		Without: "whoever breaks into one pod of unip has the files of all modules: take s3.sts.none with keys that are limited"}
	SessionPaths = Need{Name: "paths in sessions",
		For:     "no other way to write a key leads out of a session's part",
		Without: "a session opens keys beside its own: see limits of sessions"}
	SessionPlain = Need{Name: "conditions of sessions",
		For:     "the session that signs upload links writes, and never copies or tags",
		Without: "upload links rest on the server's own refusal of unsigned headers: see upload link: copies"}
)

// Notifications.
var (
	Notifications = Need{Name: "notifications",
		For:     "a bucket can be told to tell of uploads, as s3.dialect and s3.notificationARN say",
		Without: "uploads start pipelines by the sweep, within uploads.sweepMinutes; set s3.notificationARN to \"\""}
	Told = Need{Name: "notifications come",
		For:     "an upload, a copy and a deletion are told within seconds",
		Without: "uploads start pipelines by the sweep, within uploads.sweepMinutes"}
)

// Attacks: what a stranger tries with a link that he was given. A need is met when the server stands
// it.
var (
	LinkCopies = Need{Name: "upload link: copies", Must: true, ClosesUploads: true,
		For:     "x-amz-copy-source, which the link does not sign, copies nothing into the holder's file",
		Without: noLinks + "With one, any user would read all files of the box"}
	LinkUnpacks = Need{Name: "upload link: unpacks", Must: true, ClosesUploads: true,
		For:     "an archive that is uploaded with x-amz-meta-snowball-auto-extract stays an archive",
		Without: noLinks + "With one, any user would write to all files of the box"}
	LinkElsewhere = Need{Name: "upload link: other keys", Must: true, ClosesUploads: true,
		For:     "a link writes the key that it was given for, however its path is written",
		Without: noLinks + "With one, any user would write to other keys"}
	LinkSubresource = Need{Name: "upload link: subresources", Must: true, ClosesUploads: true,
		For:     "acl, tagging, policy, uploadId and versionId in a link's query do nothing",
		Without: noLinks + "With one, any user would change what belongs to the box"}
	LinkMethod = Need{Name: "upload link: other methods", Must: true, ClosesUploads: true,
		For:     "a link to write neither reads nor deletes",
		Without: noLinks + "With one, any user would do more than write a file"}
	LinkHeaders = Need{Name: "upload link: headers",
		For:     "tags, ACL, retention and redirects come with no link that does not sign them",
		Without: "who holds an upload link can add to the own file what the answer names"}
	LinkReads = Need{Name: "download link: other keys", Must: true,
		For:     "a link reads the key that it was given for, and nothing beside its content",
		Without: "who has one download link reads other files: do not give the file API to people"}
)
