// Package inputs holds hostile inputs, one a line, that are tried both on a part by its own tests
// and on the cluster by e2e/attack.
package inputs

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.txt
var tables embed.FS

// Case is one input and the statuses of HTTP that are right for it.
type Case struct {
	Want  []int
	Input string
	Place string // file:line
}

// Wants reports whether the status is right.
func (c Case) Wants(status int) bool { return slices.Contains(c.Want, status) }

// Read gives a table. A line is the wanted statuses with bars between them, a blank, and the input
// with Go's escapes; of its words NS becomes the namespace. It panics when the table is malformed,
// for the tables are part of the program.
func Read(table, namespace string) []Case {
	b, err := tables.ReadFile(table + ".txt")
	if err != nil {
		panic(err)
	}
	var all []Case
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		place := fmt.Sprintf("%s.txt:%d", table, i+1)
		wanted, quoted, _ := strings.Cut(line, " ")
		input, err := strconv.Unquote(`"` + strings.ReplaceAll(quoted, `"`, `\"`) + `"`)
		if err != nil {
			panic(place + ": " + err.Error())
		}
		c := Case{Input: strings.ReplaceAll(input, "NS", namespace), Place: place}
		for s := range strings.SplitSeq(wanted, "|") {
			status, err := strconv.Atoi(s)
			if err != nil {
				panic(place + ": " + err.Error())
			}
			c.Want = append(c.Want, status)
		}
		all = append(all, c)
	}
	return all
}
