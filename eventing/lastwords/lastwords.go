// Package lastwords finds in a program's log why it ended.
package lastwords

import (
	"regexp"
	"strings"
)

// Of is what the end of a container's log says of why it failed: the last exception of
// Python, else the last line with something in it. The log joins two streams that have no common
// order, so what was printed long before may stand behind the exception, or between its lines.
func Of(log string) string {
	if e := Exception(log); e != "" {
		return e
	}
	return lastLine(log)
}

var (
	// bar stands before each line of an exception in a group.
	bar = regexp.MustCompile(`^ +\| `)
	// frame is a line of a traceback. That of a thread that has crashed has another form.
	frame = regexp.MustCompile(`^\s+File ".*", line \d+(, in .*)?$`)
	// raised is the line with the exception, by the names that most have; maybeRaised is one by its
	// form alone, which what is printed may have as well.
	raised      = regexp.MustCompile(`^([A-Za-z_]\w*\.)*\w*([Ee]rror|Exception|Warning|Interrupt|Exit|Group)(: .*)?$`)
	maybeRaised = regexp.MustCompile(`^([A-Za-z_]\w*\.)*[A-Z]\w*(: .*)?$`)
)

const (
	// ignored begins the line before a traceback that has ended nothing.
	ignored = "Exception ignored in"
	// crashed begins what Python says of its own end.
	crashed = "Fatal Python error: "
)

// Exception is the last exception of Python that the log tells of with its traceback; "" is none.
func Exception(log string) (last string) {
	var t struct { // the traceback that goes on
		within, harmless bool
		maybe            string // what may be its exception
	}
	end := func(e string) {
		if !t.harmless {
			last = e
		}
		t.within, t.harmless, t.maybe = false, false, ""
	}
	for line := range strings.FieldsFuncSeq(log, lineEnd) {
		line = bar.ReplaceAllString(strings.TrimRight(line, " \t"), "")
		switch {
		case strings.HasPrefix(line, crashed):
			last = line
		case frame.MatchString(line):
			t.within, t.maybe = true, ""
		case strings.HasPrefix(line, ignored):
			if t.maybe != "" {
				end(t.maybe)
			}
			t.harmless = true
		case t.within && raised.MatchString(line):
			end(line)
		case t.within && t.maybe == "" && maybeRaised.MatchString(line):
			t.maybe = line
		}
	}
	if t.maybe != "" {
		end(t.maybe)
	}
	return last
}

// lineEnd is also what a progress bar begins its line anew with.
func lineEnd(r rune) bool { return r == '\n' || r == '\r' }

// lastLine is the last line with something in it.
func lastLine(log string) string {
	last := ""
	for line := range strings.FieldsFuncSeq(log, lineEnd) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return last
}
