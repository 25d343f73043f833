// Package validate runs Knative's own defaults and rules over generated objects, offline, with the
// feature flags that Knative ships: what passes here, Knative's webhook accepts. Of Kubernetes' own
// kinds it checks what all objects have in common, by the API server's rules.
package validate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/config"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

// Rules checks the objects of a module. To check a Service takes Knative most of a millisecond, so
// those that differ only in what its rules do not look at are checked once. Safe for concurrent
// use.
type Rules struct {
	services sync.Map // of []Problem by the hash of what is looked at
	labels   sync.Map // keys are each a label that is right
}

// Problem is one thing that would be refused. Path is the field's in the object, as Knative writes
// it; "" is not known.
type Problem struct{ Path, Message string }

// Object returns what Kubernetes or Knative would refuse about an object. The object is not
// changed.
func (r *Rules) Object(o runtime.Object) []Problem {
	return append(r.kubernetes(o), r.knative(o)...)
}

func (r *Rules) knative(o runtime.Object) []Problem {
	switch x := o.(type) {
	case *servingv1.Service:
		s := essence(x)
		h := sha256.New()
		if err := json.NewEncoder(h).Encode(s); err != nil {
			return []Problem{{Message: err.Error()}}
		}
		key := [sha256.Size]byte(h.Sum(nil))
		if known, ok := r.services.Load(key); ok {
			return known.([]Problem)
		}
		problems := check(s.DeepCopy())
		r.services.Store(key, problems)
		return problems
	case *eventingv1.Broker:
		return check(x.DeepCopy())
	case *eventingv1.Trigger:
		return check(x.DeepCopy())
	case *sourcesv1.PingSource:
		return check(x.DeepCopy())
	default:
		return nil
	}
}

// essence is a Service without what Knative's rules do not look at: the values of labels, of
// arguments and of environment variables, and the name, which is a DNS label before it comes here.
// What it has in common with the Service must not be changed.
func essence(x *servingv1.Service) *servingv1.Service {
	s := *x
	t := &s.Spec.Template
	if t.Spec.ServiceAccountName == s.Name {
		t.Spec.ServiceAccountName = "name"
	}
	s.Name = "name"
	s.Labels, t.Labels = blank(s.Labels), blank(t.Labels)
	t.Spec.Containers = slices.Clone(t.Spec.Containers)
	for i := range t.Spec.Containers {
		c := &t.Spec.Containers[i]
		c.Args = make([]string, len(c.Args))
		c.Env = slices.Clone(c.Env)
		for j := range c.Env {
			c.Env[j].Value = ""
		}
	}
	return &s
}

// blank are the keys of a map, without values.
func blank(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for key := range m {
		out[key] = ""
	}
	return out
}

func check(o interface {
	apis.Defaultable
	apis.Validatable
},
) []Problem {
	ctx := shipped()
	o.SetDefaults(ctx)
	var problems []Problem
	// Warnings come as non-nil errors too; only errors stop an object.
	if err := o.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		for _, e := range err.WrappedErrors() {
			p := Problem{Path: strings.Join(e.Paths, ", "), Message: e.Message}
			if p.Path != "" {
				p.Message = p.Path + ": " + e.Message
			}
			if e.Details != "" {
				p.Message += "; " + strings.ReplaceAll(e.Details, "\n", " ")
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// shipped is a context with the configuration that Knative has when nobody has changed it; to read
// it takes longer than to check an object.
var shipped = sync.OnceValue(func() context.Context {
	defaults, _ := config.NewDefaultsConfigFromMap(nil) // of nothing come the defaults
	features, _ := config.NewFeaturesConfigFromMap(nil)
	ctx := apis.WithinCreate(context.Background())
	ctx = config.ToContext(ctx, &config.Config{Defaults: defaults, Features: features})
	// Eventing ships with delivery timeouts on; without its flags in the context our own Triggers
	// would be refused.
	return feature.ToContext(ctx, feature.Flags{feature.DeliveryTimeout: feature.Enabled})
})
