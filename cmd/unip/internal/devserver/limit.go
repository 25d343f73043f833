package devserver

import (
	"fmt"
	"log/slog"

	"github.com/unip-knative/unip/cmd/internal/memory"
)

// limit holds the function's processes below its limit of memory: the worker that holds most is
// ended, which the call that it answers is told as in a cluster, and another one takes its place.
func (s *server) limit(g *generation) {
	log := slog.New(g.log)
	root := g.process.pid()
	if err := memory.Prefer(root); err != nil {
		log.Warn("the kernel cannot be told to end the function before others", "error", err)
	}
	w := memory.Watch{Root: root, Limit: s.Memory, Parts: true, Over: func(o memory.Over) {
		g.service.Starve(o.PID)
		log.Warn(fmt.Sprintf("the function holds %d MiB of memory, and resourceLimits.memory is %d MiB: worker %d is ended",
			o.Held>>20, s.Memory>>20, o.PID))
	}}
	if err := w.Run(g.ctx); err != nil {
		log.Warn("the function's limit of memory does not hold", "error", err)
	}
}
