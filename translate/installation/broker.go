package installation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Broker is what carries the events of modules. Knative changes neither key on a Broker that is
// there.
type Broker struct {
	// Class as Knative names it. Default MTChannelBasedBroker.
	Class string `yaml:"class"`
	// Config is the object that Brokers of this class take their settings from, their spec.config.
	// Default none: Knative's own default.
	Config BrokerConfig `yaml:"config"`
}

// BrokerConfig names an object. All four are given, or none.
type BrokerConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Name       string `yaml:"name"`
	Namespace  string `yaml:"namespace"`
}

// Given reports whether there is one.
func (c BrokerConfig) Given() bool { return c != BrokerConfig{} }

func (c BrokerConfig) String() string {
	return fmt.Sprintf("%s %s/%s", c.Kind, c.Namespace, c.Name)
}

// className is what the classes of all Brokers look like. It becomes an annotation's value and is
// shown to people.
var className = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)

func (b Broker) validate() error {
	var errs []error
	if !className.MatchString(b.Class) {
		errs = append(errs, fmt.Errorf(
			"broker.class: %q is no class of Brokers; write one as Knative names it, such as MTChannelBasedBroker", b.Class))
	}
	return errors.Join(append(errs, b.Config.validate())...)
}

func (c BrokerConfig) validate() error {
	if !c.Given() {
		return nil
	}
	var missing []string
	for _, f := range []struct{ key, value string }{
		{"apiVersion", c.APIVersion}, {"kind", c.Kind}, {"name", c.Name}, {"namespace", c.Namespace},
	} {
		if f.value == "" {
			missing = append(missing, f.key)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("broker.config: %s is missing; it names an object by apiVersion, kind, name and namespace",
			strings.Join(missing, ", "))
	}
	var errs []error
	if v, err := schema.ParseGroupVersion(c.APIVersion); err != nil || v.Version == "" {
		errs = append(errs, fmt.Errorf("broker.config.apiVersion: %q is none; write v1, or GROUP/VERSION", c.APIVersion))
	}
	if !kindName.MatchString(c.Kind) {
		errs = append(errs, fmt.Errorf("broker.config.kind: %q is no kind; write ConfigMap or the like", c.Kind))
	}
	if wrong := validation.IsDNS1123Subdomain(c.Name); len(wrong) > 0 {
		errs = append(errs, fmt.Errorf("broker.config.name: %q: %s", c.Name, wrong[0]))
	}
	if wrong := validation.IsDNS1123Label(c.Namespace); len(wrong) > 0 {
		errs = append(errs, fmt.Errorf("broker.config.namespace: %q: %s", c.Namespace, wrong[0]))
	}
	return errors.Join(errs...)
}
