package manifest

import (
	"cmp"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// File is one input.
type File struct {
	Name string
	Data []byte
}

const (
	// MaxFile bounds one file in bytes, MaxDocuments all documents together.
	MaxFile, MaxDocuments = 16 << 20, 20_000
)

// Read decodes all documents of all files. Findings come back sorted by place. Files without any
// object are an error: what made them has failed, or they are others.
func Read(files []File) (*Module, Diagnostics) {
	var found Diagnostics
	var read tally
	m := &Module{Unread: map[string]bool{}}
	for _, f := range files {
		readFile(f, m, &found, &read)
	}
	if read.objects == 0 && len(found) == 0 {
		for _, f := range files {
			found.Errorf(Position{File: f.Name}, "no object in it")
		}
	}
	found.Sort()
	return m, found
}

// tally counts what was read: documents, and those of them with something in them, readable or not.
type tally struct{ documents, objects int }

func readFile(f File, m *Module, found *Diagnostics, read *tally) {
	if len(f.Data) > MaxFile {
		found.Errorf(Position{File: f.Name}, "larger than %d MiB", MaxFile>>20)
		return
	}
	text, at, wrong := textOf(f.Data)
	if wrong != "" {
		found.Errorf(Position{f.Name, at.line, at.column}, "%s", wrong)
		return
	}
	f.Data = text
	defer nameSpaces(f, len(*found), found)
	values, err := jsonValues(text)
	if err != nil && readPieces(f, pieceSize, m, found, read) {
		return
	}
	broken, isJSON := errors.AsType[*errJSON](err)
	if err != nil && (!isJSON || len(values) == 0) {
		readWhole(f, m, found, read)
		return
	}
	for _, n := range values {
		if !next(f, &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{n}}, m, found, read) {
			return
		}
	}
	if isJSON {
		found.Errorf(Position{f.Name, broken.at.line, broken.at.column}, "%s", broken.message)
	}
}

// readWhole reads a file from its beginning to its end, or to what cannot be read.
func readWhole(f File, m *Module, found *Diagnostics, read *tally) {
	documents(f.Data, func(n *yaml.Node) bool { return next(f, n, m, found, read) },
		func(line, column int, message string) {
			found.Errorf(Position{f.Name, line, column}, "%s", message)
		})
}

// next reads one more document of a file, unless there have been too many.
func next(f File, n *yaml.Node, m *Module, found *Diagnostics, read *tally) bool {
	if read.documents == MaxDocuments {
		found.Errorf(Position{File: f.Name}, "more than %d documents", MaxDocuments)
		return false
	}
	document(f.Name, n, m, found, read)
	return true
}

// document reads one document.
func document(file string, n *yaml.Node, m *Module, found *Diagnostics, read *tally) {
	read.documents++
	if len(n.Content) == 1 && !null(n.Content[0]) {
		read.objects++
		d := &decoderOf{decoder{file: file, found: found}}
		d.document(n.Content[0], m)
	}
}

// decoderOf reads documents by their kind.
type decoderOf struct{ decoder }

// probe is what decides how a document is read.
type probe struct {
	apiVersion, kind *yaml.Node
}

func (d *decoderOf) document(n *yaml.Node, m *Module) {
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "an object must be a mapping, not %s", describe(n))
		return
	}
	if n.Tag != "!!map" {
		d.errorf(n, "the tag %.40q means nothing here", n.Tag)
		return
	}
	var p probe
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case "apiVersion":
			p.apiVersion = d.follow(n.Content[i+1])
		case "kind":
			p.kind = d.follow(n.Content[i+1])
		}
	}
	switch {
	case p.apiVersion == nil:
		d.errorf(n, "no apiVersion")
	case p.kind == nil || p.kind.Value == "":
		d.errorf(n, "no kind")
	case ofPlatform(latin(p.apiVersion.Value), APIVersion), ofPlatform(latin(p.apiVersion.Value), AutoscalerAPIVersion):
		d.platform(n, p, m)
	default:
		d.foreign(n, p, m)
	}
}

// ofPlatform reports an apiVersion of the group that a known one is of, in whatever version.
func ofPlatform(version, known string) bool {
	group, _, _ := strings.Cut(version, "/")
	return group == strings.Split(known, "/")[0]
}

func (d *decoderOf) platform(n *yaml.Node, p probe, m *Module) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == p.kind.Value })
	if i >= 0 && Kinds[i].Version() == p.apiVersion.Value {
		Kinds[i].read(d, n, p.kind, m)
		return
	}
	version := APIVersion
	switch {
	case i >= 0:
		version = Kinds[i].Version()
	case ofPlatform(latin(p.apiVersion.Value), AutoscalerAPIVersion):
		version = AutoscalerAPIVersion
	}
	if p.apiVersion.Value != version {
		d.errorf(p.apiVersion, "apiVersion %q is not known; the platform's is %q", p.apiVersion.Value, version)
		return
	}
	known := map[string]Kind{}
	for _, k := range Kinds {
		known[k.Name] = k
	}
	d.errorf(p.kind, "unknown kind %q%s", p.kind.Value, suggest(p.kind.Value, known))
}

// object reads apiVersion, kind, metadata and spec. It reports whether all of it could be read; if
// not, the module knows that the object is there.
func (d *decoderOf) object(n, kind *yaml.Node, h *Header, spec any, m *Module) (ok bool) {
	defer func() {
		if !ok {
			m.Unread[kind.Value+"/"+h.Meta.Name.Value] = true
		}
	}()
	var o struct {
		At
		APIVersion Text       `yaml:"apiVersion"`
		Kind       Text       `yaml:"kind"`
		Metadata   Meta       `yaml:"metadata"`
		Spec       *yaml.Node `yaml:"spec"`
	}
	ok = d.decode(n, reflect.ValueOf(&o).Elem(), "")
	h.At, h.Kind, h.Meta = o.At, kind.Value, o.Metadata
	ok = d.header(h) && ok
	if o.Spec == nil || null(o.Spec) {
		d.errorf(n, "%s %s has no spec", kind.Value, h.Meta.Name.Value)
		return false
	}
	return d.decode(o.Spec, reflect.ValueOf(spec).Elem(), "spec") && ok
}

// header checks that an object has a name and a namespace, and none of unip's annotations that its
// kind does not have.
func (d *decoderOf) header(h *Header) bool {
	ok := true
	for name, value := range h.Meta.Annotations {
		if strings.HasPrefix(name, Prefix) && !annotated(h.Kind, name) {
			d.found.Errorf(value.At, "metadata.annotations: %s has no annotation %q", h.Kind, name)
		}
	}
	for _, f := range []struct {
		name  string
		value Text
	}{{"name", h.Meta.Name}, {"namespace", h.Meta.Namespace}} {
		if f.value.Value == "" {
			p := h.Position
			if h.Meta.File != "" {
				p = h.Meta.Field(f.name)
			}
			d.found.Errorf(p, "%s: metadata.%s is missing", h.Kind, f.name)
			ok = false
		}
	}
	return ok
}

func (d *decoderOf) secret(n, kind *yaml.Node, m *Module) {
	var o struct {
		At
		APIVersion Text              `yaml:"apiVersion"`
		Kind       Text              `yaml:"kind"`
		Metadata   Meta              `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
		StringData map[string]string `yaml:"stringData"`
		Type       string            `yaml:"type"`
		Spec       *yaml.Node        `yaml:"spec"`
	}
	quiet := *d
	var found Diagnostics
	quiet.found = &found
	ok := quiet.decode(n, reflect.ValueOf(&o).Elem(), "")
	s := &Secret{Header: Header{At: o.At, Kind: kind.Value, Meta: o.Metadata}}
	if o.Spec != nil && !null(o.Spec) {
		ok = quiet.decode(o.Spec, reflect.ValueOf(&s.Spec).Elem(), "spec") && ok
	}
	for _, f := range found { // nothing of a Secret's content is ever shown
		f.Message = withoutValue(f.Message)
		*d.found = append(*d.found, f)
	}
	for _, key := range []string{"data", "stringData", "type"} {
		if o.Has(key) && s.Spec.Has(key) {
			d.errorf(o.Spec, "%s stands both at the top and below spec", key)
		}
	}
	if o.Has("data") {
		s.Spec.Data = o.Data
	}
	if o.Has("stringData") {
		s.Spec.StringData = o.StringData
	}
	s.Spec.Type = cmp.Or(o.Type, s.Spec.Type)
	if ok = d.header(&s.Header) && ok; ok {
		m.Secrets = append(m.Secrets, s)
	}
}

// aboutValue is a message that says what a value is, in place of what it should be.
var aboutValue = regexp.MustCompile(`^(.*): want a (string|mapping), not .*$`)

func withoutValue(message string) string {
	return aboutValue.ReplaceAllString(message,
		"$1: want a $2 (what is there is not shown; numbers and the like must be quoted)")
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Kind == yaml.MappingNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (d *decoderOf) foreign(n *yaml.Node, p probe, m *Module) {
	if p.kind.Value == "List" && p.apiVersion.Value == "v1" { // what kubectl writes for several objects
		if items := child(n, "items"); items != nil && d.follow(items).Kind == yaml.SequenceNode {
			for _, item := range d.follow(items).Content {
				d.document(d.follow(item), m)
			}
		}
		return
	}
	o := &Foreign{Header: Header{At: At{Position: d.at(n)}, Kind: p.kind.Value}, APIVersion: p.apiVersion.Value}
	if !d.bounded(n) {
		return
	}
	if err := n.Decode(&o.Object); err != nil {
		d.errorf(n, "%s cannot be read: %s", p.kind.Value, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	m.Foreign = append(m.Foreign, o)
}

// bounded looks for aliases: an object that is carried through must not grow by them. A time is
// text, as it is to kubectl.
func (d *decoderOf) bounded(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		d.errorf(n, "aliases are not carried through in objects of other groups; write the value itself")
		return false
	}
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		if !d.bounded(c) {
			return false
		}
	}
	return true
}
