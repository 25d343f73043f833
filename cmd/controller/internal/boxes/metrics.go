package boxes

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var notificationsSetAgain = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "unip_notifications_set_again_total",
	Help: "How often a box that was in order had lost its notifications of uploads, or its bucket.",
})

func init() { metrics.Registry.MustRegister(notificationsSetAgain) }
