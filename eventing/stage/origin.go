package stage

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// Origin is what a copy of a committed file carries as S3's user metadata: where it comes from.
// Whoever uploads a file may write the same, so it counts only as far as the commit bears it out
// (Matches).
type Origin struct {
	Run     string
	Stage   string
	Attempt int
	Output  string
	// Path below the output's folder. It is the end of the copy's key.
	Path string
	// SHA256 of the content, lower-case hexadecimal.
	SHA256 string
}

// The names of S3's user metadata, as minio-go gives them back: S3 puts X-Amz-Meta- before each.
const (
	metaRun     = "Unip-Run"
	metaStage   = "Unip-Stage"
	metaAttempt = "Unip-Attempt"
	metaOutput  = "Unip-Output"
	metaPath    = "Unip-Path"
	metaSHA256  = "Unip-Sha256"
)

const metaPrefix = "x-amz-meta-"

// maxMetadata is S3's limit of user metadata in bytes, of names and values together.
const maxMetadata = 2 << 10

// Metadata is the origin as S3's user metadata. It is nil, as a whole, where it would be larger
// than S3 takes: a copy without it is as good a copy.
func (o Origin) Metadata() map[string]string {
	all := map[string]string{
		metaRun: escape(o.Run), metaStage: escape(o.Stage), metaAttempt: strconv.Itoa(o.Attempt),
		metaOutput: escape(o.Output), metaPath: escape(o.Path), metaSHA256: o.SHA256,
	}
	size := 0
	for name, value := range all {
		size += len(metaPrefix) + len(name) + len(value)
	}
	if size >= maxMetadata {
		return nil
	}
	return all
}

// OriginOf reads an origin from the user metadata of an object, with names in any case, with or
// without X-Amz-Meta-. ok is false where there is none, or one of another form: its names are those
// of one folder each, so that they can be joined to a key.
func OriginOf(metadata map[string]string) (o Origin, ok bool) {
	found := map[string]string{}
	for name, value := range metadata {
		name = strings.TrimPrefix(strings.ToLower(name), metaPrefix)
		if was, twice := found[name]; twice && was != value {
			return Origin{}, false
		}
		found[name] = value
	}
	ok = true
	get := func(name string) string {
		value, right := unescape(found[strings.ToLower(name)])
		ok = ok && right
		return value
	}
	o = Origin{Run: get(metaRun), Stage: get(metaStage), Output: get(metaOutput), Path: get(metaPath),
		SHA256: get(metaSHA256)}
	attempt := get(metaAttempt)
	var err error
	if o.Attempt, err = strconv.Atoi(attempt); err != nil || strconv.Itoa(o.Attempt) != attempt {
		return Origin{}, false
	}
	if !ok || !o.valid() {
		return Origin{}, false
	}
	return o, true
}

func (o Origin) valid() bool {
	pipeline, stage, chained := strings.Cut(o.Stage, "/")
	return segment(o.Run) && segment(pipeline) && (!chained || segment(stage)) && o.Attempt > 0 &&
		segment(o.Output) && CheckPath(o.Path) == nil && isSum(o.SHA256)
}

// Matches reports whether the commit of the origin's stage (CommitKey(o.Run, o.Stage) in the
// module's run bucket) names this file, and whether the object with this key and size can be a copy
// of it.
func (o Origin) Matches(c *Commit, key string, size int64) bool {
	if o.Attempt != c.Attempt || !strings.HasSuffix("/"+key, "/"+o.Path) {
		return false
	}
	return slices.ContainsFunc(c.Outputs[o.Output], func(f File) bool {
		return f.Path == o.Path && f.Size == size && f.SHA256 == o.SHA256
	})
}

// escaped begins a value that stands in base64. Plain ASCII stands as it is, for whoever looks at
// the object with another tool.
const escaped = "="

func escape(s string) string {
	if plain(s) {
		return s
	}
	return escaped + base64.RawURLEncoding.EncodeToString([]byte(s))
}

func unescape(value string) (string, bool) {
	coded, ok := strings.CutPrefix(value, escaped)
	if !ok {
		return value, plain(value)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(coded)
	return string(b), err == nil && escape(string(b)) == value
}

// plain reports that a header's value can hold s as it stands: S3 makes one blank of several, and
// servers differ in what they do with bytes beyond ASCII.
func plain(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	return s != "" && !strings.HasPrefix(s, escaped) && !strings.ContainsFunc(s, odd)
}
