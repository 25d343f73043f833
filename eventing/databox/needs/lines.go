package needs

import (
	"bufio"
	"io"
)

// maxLine bounds one line of a report.
const maxLine = 64 << 10

func newLines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4<<10), maxLine)
	return s
}
