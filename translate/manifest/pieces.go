package manifest

import (
	"bytes"
	"errors"
	"io"

	"gopkg.in/yaml.v3"

	"github.com/unip-knative/unip/translate/internal/parallel"
)

// pieceSize is how long the pieces of a file are at least, in bytes. It depends on nothing, so that
// a file is read in the same way everywhere.
const pieceSize = 32 << 10

// piece is some documents of a file.
type piece struct {
	data  []byte
	lines int // that stand before it

	module Module
	found  Diagnostics
	tally  tally
}

// readPieces reads a file's documents on all processors. It reports false, having done nothing,
// when something is not YAML or there are too many documents: then only reading from the beginning
// knows what to say.
func readPieces(f File, size int, m *Module, found *Diagnostics, read *tally) bool {
	pieces := cut(f.Data, size)
	err := parallel.Do(len(pieces), func(i int) error { return pieces[i].read(f.Name) })
	sum := *read
	for _, p := range pieces {
		sum.documents += p.tally.documents
		sum.objects += p.tally.objects
	}
	if err != nil || sum.documents > MaxDocuments {
		return false
	}
	*read = sum
	for _, p := range pieces {
		m.add(&p.module)
		*found = append(*found, p.found...)
	}
	return true
}

func (p *piece) read(name string) error {
	p.module.Unread = map[string]bool{}
	d := yaml.NewDecoder(bytes.NewReader(p.data))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		shift(&n, p.lines)
		document(name, &n, &p.module, &p.found, &p.tally)
	}
}

// shift moves a tree down.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}

// cut cuts a file before marks between documents. "---" at the beginning of a line is one wherever
// it stands: inside of a quoted text or brackets it is an error, which the piece before it then
// has. A file with directives, which belong to the document behind the mark, or with line ends that
// only YAML takes for such, is one piece.
func cut(data []byte, size int) []*piece {
	whole := bytes.HasPrefix(data, []byte("%")) || bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n"))
	for _, s := range []string{"\n%", "\u0085", "\u2028", "\u2029"} {
		whole = whole || bytes.Contains(data, []byte(s))
	}
	var pieces []*piece
	for lines := 0; ; {
		end := len(data)
		for at := min(size, end); !whole && at < end; at++ {
			i := bytes.Index(data[at:], []byte("\n---"))
			if i < 0 {
				break
			}
			if at += i; begins(data[at+1:]) {
				end = at + 1
			}
		}
		pieces = append(pieces, &piece{data: data[:end], lines: lines})
		if lines += bytes.Count(data[:end], []byte("\n")); end == len(data) {
			return pieces
		}
		data = data[end:]
	}
}
