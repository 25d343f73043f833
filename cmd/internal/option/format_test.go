package option_test

import (
	"testing"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/internal/option"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		allowed []string
		args    []string
		json    bool
		wrong   string
	}{
		"the first is the default": {[]string{"text", "json"}, nil, false, ""},
		"data":                     {[]string{"text", "json"}, []string{"-o", "json"}, true, ""},
		"neither": {[]string{"text", "json"}, []string{"-o", "yaml"}, false,
			`-o: "yaml" is neither text nor json`},
		"a default without a name": {[]string{"", "json"}, nil, false, ""},
		"data, of one format":      {[]string{"", "json"}, []string{"--output=json"}, true, ""},
		"another than the only one": {[]string{"", "json"}, []string{"-o", "yaml"}, false,
			"-o yaml: there is only json"},
	} {
		var f option.Format
		command := &cobra.Command{Use: "x"}
		f.AddTo(command, command.Flags(), "", c.allowed...)
		if err := command.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		text, err := "", f.Check()
		if err != nil {
			text = err.Error()
		}
		if reason, _ := exit.Of(err); text != c.wrong || (err != nil) != (reason == exit.UsageWrong) ||
			f.JSON() != c.json {
			t.Errorf("%s: %q (%v), json: %t", name, text, reason, f.JSON())
		}
	}
}
