package starts

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	eventsLost = prometheus.NewCounter(prometheus.CounterOpts{Name: "unip_upload_events_lost_total",
		Help: "Uploads whose run the controller started itself, because their event had not come back in time."})
	sweepFound = prometheus.NewCounter(prometheus.CounterOpts{Name: "unip_uploads_found_by_sweep_total",
		Help: "Uploads of which nobody had told, and whose run was started by a look through the box."})
)

func init() { metrics.Registry.MustRegister(eventsLost, sweepFound) }

// count counts a start that did not go by its event.
func count(by teller) {
	switch by {
	case byS3, byDeadLetter:
		eventsLost.Inc()
	case bySweep:
		sweepFound.Inc()
	}
}
