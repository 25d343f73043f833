package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/unip-knative/unip/functions/inference/internal/filebox"
	"github.com/unip-knative/unip/functions/inference/service"
)

// boxFlags are the boxes of -box, in their order.
type boxFlags []service.Box

func (b *boxFlags) String() string { return fmt.Sprint(*b) }

// Set reads NAME or NAME:read.
func (b *boxFlags) Set(s string) error {
	name, access, limited := strings.Cut(s, ":")
	if name == "" || limited && access != "read" {
		return errors.New("a box is NAME or NAME:read")
	}
	*b = append(*b, service.Box{Name: name, ReadOnly: limited})
	return nil
}

// filesOf are the files of the component's callers. When the module's names have been prefixed (by
// kustomize, say), so has the component's, and those of boxes in URLs.
func filesOf(o options, log *slog.Logger) (*service.Files, error) {
	prefix, ok := strings.CutSuffix(o.component, o.name)
	if !ok {
		return nil, fmt.Errorf("the component is named %q, but its manifest has %q, with nothing behind it",
			o.component, o.name)
	}
	if o.name == "" {
		prefix = ""
	}
	namespace, err := os.ReadFile(o.namespace)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the module's namespace: %w", err)
	}
	boxes := make(service.Boxes, len(o.boxes))
	for i, b := range o.boxes {
		boxes[i] = service.Box{Name: prefix + b.Name, ReadOnly: b.ReadOnly}
	}
	return &service.Files{Dir: o.files, Boxes: boxes, Namespace: string(namespace),
		Storage: &filebox.Boxes{Dir: o.sessions, Prefix: prefix, Log: log}}, nil
}
