package devserver

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/unip-knative/unip/cmd/internal/memory"
	"github.com/unip-knative/unip/functions/inference/service"
)

// Limit holds a function's processes below its limit of memory until the context ends: the worker
// that holds most is ended, which the call that it answers is told as in a cluster, and another one
// takes its place.
func Limit(ctx context.Context, p *Process, function *service.Service, limit int64, log *slog.Logger) {
	if err := memory.Prefer(p.pid()); err != nil {
		log.Warn("the kernel cannot be told to end the function before others", "error", err)
	}
	w := memory.Watch{Root: p.pid(), Limit: limit, Parts: true, Over: func(o memory.Over) {
		function.Starve(o.PID)
		log.Warn(fmt.Sprintf("the function holds %d MiB of memory, and resourceLimits.memory is %d MiB: worker %d is ended",
			o.Held>>20, limit>>20, o.PID))
	}}
	if err := w.Run(ctx); err != nil {
		log.Warn("the function's limit of memory does not hold", "error", err)
	}
}
