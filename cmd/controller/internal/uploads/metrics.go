package uploads

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Both are the leader's to tell.
var (
	inboxEntries = prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_inbox_entries",
		Help: "Notifications of the S3 server in the inbox: not every event of them was taken, or not all is started."})
	inboxOldest = prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_inbox_oldest_seconds",
		Help: "Age of the oldest notification in the inbox."})
)

func init() { metrics.Registry.MustRegister(inboxEntries, inboxOldest) }
