package storage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// given is the journal of what was told of objects: of each the newest version, and whether it was
// acknowledged. Lines are only ever appended; the last one of an object counts, and one that a kill
// has cut is as if it had not been written.
type given struct {
	name  string
	file  *os.File
	lines map[object]line
}

// object is a name, whatever lies there.
type object struct {
	Bucket, Key string
}

type line struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
	Done    bool   `json:"done,omitempty"`
	// Gone: there is no such object any more.
	Gone bool `json:"gone,omitempty"`
}

func openGiven(name string) (*given, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, fileMode)
	if err != nil {
		return nil, fmt.Errorf("the journal of objects: %w", err)
	}
	g := &given{name: name, file: f, lines: map[object]line{}}
	r := bufio.NewReader(f)
	for {
		b, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(b) > 0 { // cut; what comes next begins a line of its own
				_, err = f.WriteString("\n")
				return g, err
			}
			return g, nil
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the journal of objects: %w", err), f.Close())
		}
		var l line
		if json.Unmarshal(b, &l) != nil {
			continue // cut by a kill
		}
		g.keep(l)
	}
}

func (g *given) keep(l line) {
	o := object{l.Bucket, l.Key}
	if l.Gone {
		delete(g.lines, o)
	} else {
		g.lines[o] = l
	}
}

// write appends a line.
func (g *given) write(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("the journal of objects: %w", err)
	}
	if _, err := g.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("the journal of objects: %w", err)
	}
	g.keep(l)
	return nil
}

// compact writes the journal anew, each object once. A file of its name that is another one is left
// alone: the folder was removed, and somebody has made it again.
func (g *given) compact() error {
	mine, err := g.file.Stat()
	if err != nil {
		return fmt.Errorf("the journal of objects: %w", err)
	}
	if there, err := os.Stat(g.name); err != nil || !os.SameFile(there, mine) {
		return nil //nolint:nilerr // what has gone needs no order
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, l := range g.lines {
		if err := e.Encode(l); err != nil {
			return fmt.Errorf("the journal of objects: %w", err)
		}
	}
	if err := replace(g.name, b.Bytes()); err != nil {
		return fmt.Errorf("the journal of objects: %w", err)
	}
	f, err := os.OpenFile(g.name, os.O_RDWR|os.O_APPEND, fileMode)
	if err != nil {
		return fmt.Errorf("the journal of objects: %w", err)
	}
	old := g.file
	g.file = f
	return old.Close()
}
