package option

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unip-knative/unip/cmd/internal/exit"
)

// Format is the form of the output, -o.
type Format struct {
	value   string
	allowed []string
}

// AddTo adds -o with the values that are allowed, of which the first is the default. Where that is
// empty, what people read is the default and has no name.
func (f *Format) AddTo(c *cobra.Command, flags *pflag.FlagSet, usage string, allowed ...string) {
	f.allowed = allowed
	flags.StringVarP(&f.value, "output", "o", allowed[0], usage)
	Complete(c, "output", slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })...)
}

// AddTextOrJSON adds -o for text and json.
func (f *Format) AddTextOrJSON(c *cobra.Command) {
	f.AddTo(c, c.Flags(), "text or json", "text", "json")
}

// Check refuses a value that is not allowed.
func (f *Format) Check() error {
	switch {
	case slices.Contains(f.allowed, f.value):
		return nil
	case len(f.allowed) == 2 && f.allowed[0] == "":
		return exit.Errorf(exit.UsageWrong, "-o %s: there is only %s", f.value, f.allowed[1])
	}
	return exit.Errorf(exit.UsageWrong, "-o: %q is neither %s", f.value, strings.Join(f.allowed, " nor "))
}

// Is reports that the output has this form.
func (f *Format) Is(value string) bool { return f.value == value }

// JSON reports that the output is data.
func (f *Format) JSON() bool { return f.Is("json") }
