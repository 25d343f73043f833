package runs

import (
	"context"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	life "github.com/unip-knative/unip/eventing/run"
)

// lastWords are what the end of a container's log says of why it failed: the last exception of
// Python, else the last line with something in it. The log joins two streams that have no common
// order, so what was printed long before may stand behind the exception, or between its lines.
func lastWords(log string) string {
	if e := exception(log); e != "" {
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

// exception is the last exception of Python that the log tells of with its traceback; "" is none.
func exception(log string) (last string) {
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

const (
	// messageBytes and messageLines are as much of a log as kubelet puts into a pod's status.
	messageBytes, messageLines = 2 << 10, 80
	// reasonTimeout bounds the look through a log: a node that does not answer holds nobody up.
	reasonTimeout = 5 * time.Second
)

// explain looks for the exception in the log itself, where the pod's status has too little of it. Of
// what was printed before the exception, all that two pipes and some buffers hold may come behind
// it: tens of thousands of short lines.
func (p *pass) explain(a *life.Attempt, pod *corev1.Pod) {
	if a.Phase != life.Ended || a.Part != life.Function || a.Cause != life.Exited || a.Disrupted ||
		p.now.Before(a.SettledAt) {
		return
	}
	c := functionStatus(pod)
	said := terminated(c).Message
	if len(said) < messageBytes && strings.Count(said, "\n") < messageLines-1 || exception(said) != "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, reasonTimeout)
	defer cancel()
	log, err := tail(ctx, p.Pods, pod, c.Name, maxLines)
	if err != nil {
		ctrl.LoggerFrom(p.ctx).Info("the log of a stage that failed cannot be looked through", "pod", pod.Name,
			"error", err.Error())
		return
	}
	if e := exception(log); e != "" {
		a.Message = oneLine(e)
	}
}
