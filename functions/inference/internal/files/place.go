package files

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
)

// Place is one of the caller's files: its box, and its path in it, <group…>/<file>.
type Place struct{ Box, Path string }

// name is the file's own.
func (p Place) name() string { return p.Path[strings.LastIndexByte(p.Path, '/')+1:] }

// Box is a box that the component is connected to.
type Box struct {
	Name     string
	ReadOnly bool
}

// Boxes are those of the component, in the order of its connectedBoxes.
type Boxes []Box

// Usual is where a file lies whose place names no box: the first box that can be written, for
// callers put their files there, or else the first.
func (b Boxes) Usual() string {
	for _, x := range b {
		if !x.ReadOnly {
			return x.Name
		}
	}
	if len(b) == 0 {
		return ""
	}
	return b[0].Name
}

// Written is the box that outputs go to: the first that can be written, "" if none can.
func (b Boxes) Written() string {
	if i := slices.IndexFunc(b, func(x Box) bool { return !x.ReadOnly }); i >= 0 {
		return b[i].Name
	}
	return ""
}

func (b Boxes) has(name string) bool {
	return slices.ContainsFunc(b, func(x Box) bool { return x.Name == name })
}

// errNoBox: the place names a box that the component is not connected to, or another module's. It
// says nothing of whether that exists.
var errNoBox = errors.New("the component is not connected to that box")

// Parse reads the place of a file, in one of three forms:
//
//	<box>/<group…>/<file>                     a box of the component, and at least two segments more
//	<group…>/<file>                           in the usual box
//	/<namespace>/files/<box>/<group…>/<file>  as the file API has it, percent-encoded; also without
//	                                          /<namespace>, and with https://<host> before
//
// namespace is the module's; "" accepts any. The error is errNoBox or says what is wrong with the
// place, without quoting it.
func (b Boxes) Parse(s, namespace string) (Place, error) {
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return b.parseURL(s, namespace)
	}
	p := Place{Box: b.Usual(), Path: s}
	if box, rest, ok := strings.Cut(s, "/"); ok && strings.Contains(rest, "/") && b.has(box) {
		p = Place{Box: box, Path: rest}
	}
	return p, checkPath(p.Path)
}

func (b Boxes) parseURL(s, namespace string) (Place, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Place{}, errors.New("it is no URL of the file API")
	}
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, x := range segments {
		x, err := url.PathUnescape(x)
		if err != nil || strings.Contains(x, "/") {
			return Place{}, errors.New("it is not encoded as a path of a URL is")
		}
		segments[i] = x
	}
	switch {
	case segments[0] == "files":
		segments = segments[1:]
	case len(segments) > 1 && segments[1] == "files":
		if namespace != "" && segments[0] != namespace {
			return Place{}, errNoBox
		}
		segments = segments[2:]
	default:
		return Place{}, errors.New("it is no URL of the file API: that is /<namespace>/files/<box>/<group>/<file>")
	}
	if len(segments) < 3 {
		return Place{}, errNoFile
	}
	p := Place{Box: segments[0], Path: strings.Join(segments[1:], "/")}
	if err := checkPath(p.Path); err != nil {
		return Place{}, err
	}
	if !b.has(p.Box) {
		return Place{}, errNoBox
	}
	return p, nil
}

var errNoFile = errors.New("it names no file: a file is <group>/<file>, in a group and without a / at its end")

// checkPath reports what cannot be a file of a user.
func checkPath(p string) error {
	segments := strings.Split(p, "/")
	if len(segments) < 2 || segments[len(segments)-1] == "" {
		return errNoFile
	}
	return databox.CheckObjectPath(p)
}
