package module

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// Scaling are values of the autoscaler's annotations; "" leaves one to Knative.
type Scaling struct {
	Least, Most, Delay string
	// Target is how many calls at a time a pod should have before another one is started.
	Target string
}

const (
	// defaultTarget is small: workers answer one call after the other.
	defaultTarget = "10"
	// maxInstances and maxDelay are the most that the annotations take as well.
	maxInstances = 1000
	maxDelay     = time.Hour
)

// scalingRule is what a ScalingConfig says of a component; nil is nothing.
type scalingRule struct {
	from        *manifest.ScalingConfig
	least, most *int
	delay       *time.Duration
}

// scaling is what the autoscaler is told: by the component's annotations, then by its
// ScalingConfig, then by the installation. A hard limit of calls at a time takes the place of a
// target.
func scaling(s *scope, m *manifest.Meta, limited bool) Scaling {
	out, rule := Scaling{Target: defaultTarget}, s.scalings[m.Name.Value]
	if limited {
		out.Target = ""
	}
	least, some := manifest.MinScale.Of(m, s.Diagnostics)
	most, set := manifest.MaxScale.Of(m, s.Diagnostics)
	switch {
	case set:
		out.Most = m.Annotations[manifest.MaxScale.Name].Value
	case rule.most != nil:
		out.Most = strconv.Itoa(max(*rule.most, least))
	default:
		out.Most = usualMost(s.config.Defaults, least)
	}
	switch {
	case some:
		out.Least = m.Annotations[manifest.MinScale.Name].Value
	case rule.least != nil:
		out.Least = strconv.Itoa(*rule.least)
		if most > 0 {
			out.Least = strconv.Itoa(min(*rule.least, most))
		}
	}
	if most > 0 && least > most {
		s.Errorf(m.Annotations[manifest.MinScale.Name].At, "metadata.annotations: %s %d is more than %s %d",
			manifest.MinScale.Name, least, manifest.MaxScale.Name, most)
	}
	_, delayed := manifest.ScaleDownDelay.Of(m, s.Diagnostics)
	switch {
	case delayed:
		out.Delay = m.Annotations[manifest.ScaleDownDelay.Name].Value
	case rule.delay != nil:
		out.Delay = rule.delay.String()
	}
	for name, overruled := range map[string]bool{
		manifest.MinScale.Name: some && rule.least != nil, manifest.MaxScale.Name: set && rule.most != nil,
		manifest.ScaleDownDelay.Name: delayed && rule.delay != nil,
	} {
		if overruled {
			s.Notef(rule.from.Position, "ScalingConfig %s: %s of MLComponent %s wins over it", rule.from.Meta.Name.Value, name,
				m.Name.Value)
		}
	}
	return out
}

// usualMost is the installation's most instances. Who wants more instances always gets them.
func usualMost(d installation.Defaults, least int) string {
	if d.MaxScale == 0 {
		return ""
	}
	return strconv.Itoa(max(d.MaxScale, least))
}

// decideScalings decides the ScalingConfigs, by the components that they are for.
func decideScalings(s *scope) map[string]scalingRule {
	out := map[string]scalingRule{}
	all := slices.Clone(s.read.Scalings)
	slices.SortStableFunc(all, func(a, b *manifest.ScalingConfig) int {
		return strings.Compare(a.Meta.Name.Value, b.Meta.Name.Value)
	})
	for _, x := range all {
		rule := scalingRule{from: x}
		rule.least, rule.most = instances(s, x)
		rule.delay = cooldown(s, x.Spec.ScalingOptions)
		noteUnknownToKnative(s, &x.Spec)
		component := scaled(s, x)
		before, twice := out[component]
		switch {
		case component == "":
		case twice:
			s.Errorf(x.Position, "ScalingConfig %s: %s scales MLComponent %s already", x.Meta.Name.Value,
				before.from.Meta.Name.Value, component)
		default:
			out[component] = rule
		}
	}
	return out
}

// scaled is the component that a ScalingConfig is for; "" when it is for something else.
func scaled(s *scope, x *manifest.ScalingConfig) string {
	t := x.Spec.Target
	if t == nil || t.Name.Value == "" {
		s.Errorf(x.Spec.Field("target"), "spec.target.name is missing: which MLComponent is scaled")
		return ""
	}
	kinds := []string{"", "deployment", "service", "mlcomponent"}
	names := []string{t.Name.Value, strings.TrimSuffix(t.Name.Value, "-deployment")}
	here := cmp.Or(t.Namespace.Value, x.Meta.Namespace.Value) == s.namespace
	if here && slices.Contains(kinds, strings.ToLower(t.Kind.Value)) {
		for _, name := range names {
			if !s.read.Lacks("MLComponent", name, s.components[name] != nil) {
				return name
			}
		}
	}
	s.Notef(t.Position, "ScalingConfig %s has no effect: its target %s %s is no MLComponent of this module",
		x.Meta.Name.Value, t.Kind.Value, t.Name.Value)
	return ""
}

// instances are the fewest and the most instances of the states, within what the installation
// allows; nil when the states do not say.
func instances(s *scope, x *manifest.ScalingConfig) (least, most *int) {
	for _, state := range x.Spec.States {
		if state.Replicas == nil {
			s.Errorf(state.Position, "spec.states: an entry has no replicas")
			continue
		}
		n, at := *state.Replicas, state.Field("replicas")
		if n < 0 || n > maxInstances {
			s.Errorf(at, "spec.states: replicas: %d is not within 0 and %d", n, maxInstances)
		}
		if limit := s.config.Defaults.MaxScale; limit > 0 && n > limit {
			s.Notef(at, "spec.states: replicas: %d is more than the installation's %d, which is the most", n, limit)
			n = limit
		}
		if least == nil {
			least, most = new(n), new(n)
		}
		*least, *most = min(*least, n), max(*most, n)
	}
	if most != nil && *most == 0 { // to Knative 0 is no limit
		s.Notef(x.Spec.Field("states"), "spec.states: no instance at all has no form in Knative: the most is the usual one")
		most = nil
	}
	if o := x.Spec.ScalingOptions; o != nil && o.HibernationEnabled != nil {
		zero := 0
		switch {
		case *o.HibernationEnabled:
			least = &zero
		case least == nil || *least == 0:
			one := 1
			least = &one
		}
	}
	return least, most
}

// cooldown is how long an idle instance stays.
func cooldown(found *scope, o *manifest.ScalingOptions) *time.Duration {
	if o == nil || o.Cooldown == nil {
		return nil
	}
	d := o.Cooldown.Value
	switch {
	case d < 0:
		found.Errorf(o.Cooldown.At, "spec.scalingOptions.cooldown: %s is less than nothing", d)
	case d > maxDelay:
		found.Notef(o.Cooldown.At, "spec.scalingOptions.cooldown: %s is more than Knative's most, %s", d, maxDelay)
		d = maxDelay
	}
	return &d
}

// noteUnknownToKnative says what of a ScalingConfig has no form in Knative.
func noteUnknownToKnative(found *scope, x *manifest.ScalingConfigSpec) {
	const why = "has no form in Knative, which scales by the calls that there are at a time"
	for _, state := range x.States {
		if state.Has("transitions") {
			found.Notef(state.Key("transitions"), "spec.states: transitions "+why)
		}
	}
	if x.Has("prometheusMetrics") {
		found.Notef(x.Key("prometheusMetrics"), "spec.prometheusMetrics "+why)
	}
	if o := x.ScalingOptions; o != nil {
		for _, f := range []string{"cpuTimeWindow", "memoryTimeWindow"} {
			if o.Has(f) {
				found.Notef(o.Key(f), "spec.scalingOptions.%s "+why, f)
			}
		}
	}
}
