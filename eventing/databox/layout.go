package databox

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// MaxKey is S3's limit of a key in bytes.
const MaxKey = 1024

// MaxPath bounds the path of a file in bytes: what stands before it in a key needs its part.
const MaxPath = MaxKey - 128

// MaxName bounds each segment of a path in bytes: it becomes the name of a file or a folder on a
// disk, where stages and functions find it, and some S3 servers keep it on one themselves.
const MaxName = 255

// UsersArea is where all users' files lie in a box's bucket.
const UsersArea = "users/"

// CheckModelKey refuses an object (a folder when it ends in "/") that is no model: nothing in
// particular, or users' files.
func CheckModelKey(object string) error {
	switch clean := strings.Trim(object, "/"); {
	case clean == "":
		return errors.New("a model is an object or a folder of a box, not the whole box")
	case clean+"/" == UsersArea || strings.HasPrefix(clean, UsersArea):
		return fmt.Errorf("%q is where users' files are: a model is not one of them", object)
	}
	return nil
}

// UserPrefix is where a user's files lie in a box's bucket: users/<user>/file_groups/. The user is
// one segment, escaped. Everything outside users/ is the developer's.
func UserPrefix(user string) string { return UsersArea + EscapeUser(user) + "/file_groups/" }

// EscapeUser makes one path segment of a user's name: nothing but letters, digits and "-_.~" and
// "@" stays as it is; "." and ".." are escaped, too.
func EscapeUser(user string) string {
	s := strings.ReplaceAll(url.QueryEscape(user), "+", "%20")
	s = strings.ReplaceAll(s, "%40", "@")
	if s == "." || s == ".." {
		s = strings.ReplaceAll(s, ".", "%2E")
	}
	return s
}

// SplitKey tells a user's file from the developer's: for users/<user>/file_groups/<path> it is the
// user and the path; otherwise user is empty and the path is the whole key. ok is false for keys
// below users/ of another form, which belong to nobody.
func SplitKey(key string) (user, p string, ok bool) {
	rest, below := strings.CutPrefix(key, UsersArea)
	if !below {
		return "", key, true
	}
	segment, rest, _ := strings.Cut(rest, "/")
	p, groups := strings.CutPrefix(rest, "file_groups/")
	user, err := url.PathUnescape(segment)
	if err != nil || !groups || user == "" || p == "" || EscapeUser(user) != segment {
		return "", "", false
	}
	return user, p, true
}

// Place is a file or a folder (its path ends in "/" or is empty) in a box: of a user, or of the
// developer.
type Place struct {
	Box       string
	Developer bool   // the developer's area: "<box>:/<path>"
	Path      string // without a leading slash
}

// ParsePlace reads "<box>/<group…>/<file>", "<box>/<group…>/" and, in the developer's area,
// "<box>:/<path>".
//
// "<box>/<file>", outside of any group, is read as well: another S3 client may have put a file
// there. The file API makes and shows none, and so calls cannot name one. "<box>/" is the box
// itself: an empty Path, which only a dataset's may be used.
func ParsePlace(s string) (Place, error) {
	box, p, ok := strings.Cut(s, "/")
	name, developer := strings.CutSuffix(box, ":")
	if !ok || name == "" {
		return Place{}, fmt.Errorf("%q is not of the form <box>/<group>/<file> or <box>/<group>/ or,"+
			" in the developer's area, <box>:/<path>", s)
	}
	if err := CheckObjectPath(strings.TrimSuffix(p, "/")); p != "" && err != nil {
		return Place{}, fmt.Errorf("%q: %w", s, err)
	}
	return Place{Box: name, Developer: developer, Path: p}, nil
}

// String is the place as ParsePlace reads it.
func (p Place) String() string {
	if p.Developer {
		return p.Box + ":/" + p.Path
	}
	return p.Box + "/" + p.Path
}

// Folder reports that the place is a folder.
func (p Place) Folder() bool { return p.Path == "" || strings.HasSuffix(p.Path, "/") }

// Key is the place in the box's bucket.
func (p Place) Key(user string) string {
	if p.Developer {
		return p.Path
	}
	return UserPrefix(user) + p.Path
}

// CheckObjectPath reports an error for a path below a bucket or a group that cannot be a file's:
// empty, with empty, "." or ".." segments, a NUL or another control character, or too long, as a
// whole or in a segment.
func CheckObjectPath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case path.Clean(p) != p || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return errors.New("the path has an empty, \".\" or \"..\" segment")
	case len(p) > MaxPath:
		return fmt.Errorf("the path is longer than %d bytes", MaxPath)
	case slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return len(s) > MaxName }):
		return fmt.Errorf("a segment of the path is longer than %d bytes", MaxName)
	case HasControl(p):
		return errors.New("the path has a control character or is not UTF-8")
	}
	return nil
}

// HasControl reports a control character, or bytes that are not UTF-8.
func HasControl(p string) bool {
	return strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}

// CheckDeveloperPath is CheckObjectPath for the developer's area, of a file or, with a "/" at its
// end, of a folder. Nothing of users' files is in that area.
func CheckDeveloperPath(p string) error {
	if err := CheckObjectPath(strings.TrimSuffix(p, "/")); err != nil {
		return err
	}
	if p+"/" == UsersArea || strings.HasPrefix(p, UsersArea) {
		return errors.New("users/ is where users' files are, and no part of the developer's area")
	}
	return nil
}

// DatasetPrefix is what the keys of a dataset begin with that is the folder p of a box, "" for all of
// the developer's area. It ends in "/": a dataset photos has nothing of photos-2.
func DatasetPrefix(p string) (string, error) {
	clean := strings.Trim(p, "/")
	if clean == "" {
		return "", nil
	}
	return clean + "/", errors.Join(CheckDeveloperPath(clean+"/"), CheckLiteral(clean))
}

// CheckFileName reports an error for a path that must not be joined to a folder: empty, absolute,
// unclean, leaving the folder, or with a NUL.
func CheckFileName(p string) error {
	switch {
	case p == "" || p == "." || path.IsAbs(p) || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("%q is not a path within a folder", p)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("%q has a NUL in it", p)
	}
	return nil
}
