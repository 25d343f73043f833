package translate

import (
	"strings"

	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/translate/manifest"
)

// scheduled checks the annotation by which runs start that nobody asks for, and that such a run can do without anybody.
func (c *checker) scheduled(x *manifest.ExperimentPipeline) {
	v, ok := x.Meta.Annotations[manifest.Schedule.Name]
	if !ok {
		return
	}
	if _, err := schedule.Parse(schedule.Split(v.Value)); err != nil {
		c.found.Errorf(v.At, "metadata.annotations: %s: %v; write minute, hour, day, month and weekday, like \"0 3 * * *\" or \"CRON_TZ=Europe/Moscow 30 7 * * 1-5\", or @daily", manifest.Schedule.Name, err)
	}
	f := c.flow(x)
	if missing := f.wanted(); f.whole && len(missing) > 0 {
		c.found.Errorf(v.At, "metadata.annotations: %s: nobody gives a scheduled run %s: a variable that no stage writes needs a mountFrom", manifest.Schedule.Name, strings.Join(missing, ", "))
	}
}
