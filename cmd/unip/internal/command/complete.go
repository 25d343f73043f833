package command

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/eventing/printable"
)

// completer completes an argument, or a flag's value. Whoever asks looks at nothing but the words: an
// error of the module gives none.
type completer = func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// completionTimeout is how long somebody waits who has pressed Tab.
const completionTimeout = 3 * time.Second

// asked completes with what the module tells.
func asked(o *option.Module, d cobra.ShellCompDirective, most int,
	ask func(ctx context.Context, m *gateway.Client, args []string, word string) ([]string, error)) completer {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most || o.PasswordStdin { // standard input is the shell's terminal
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		m, err := o.QuietClient()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		words, err := ask(ctx, m, args, word)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// what is not printable would steer the shell, or be two words to it
		words = slices.DeleteFunc(words, func(s string) bool {
			s, _, _ = strings.Cut(s, "\t") // a description
			return !strings.HasPrefix(s, word) || printable.Line(s) != s
		})
		return words, d
	}
}

// completeRun names the caller's newest runs.
func completeRun(o *option.Module) completer {
	return asked(o, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder, 1,
		func(ctx context.Context, m *gateway.Client, _ []string, _ string) ([]string, error) {
			runs, _, err := m.Runs(ctx, "", "", 0, "")
			var all []string
			for _, r := range runs {
				all = append(all, cobra.CompletionWithDesc(r.ID, printable.Line(r.Pipeline+", "+string(r.Status))))
			}
			return all, err
		})
}

// completeStage names the stages of the run that stands before.
func completeStage(o *option.Module) completer {
	return asked(o, cobra.ShellCompDirectiveNoFileComp, 2,
		func(ctx context.Context, m *gateway.Client, args []string, _ string) ([]string, error) {
			if len(args) == 0 {
				return nil, nil
			}
			run, err := m.Run(ctx, args[0])
			var all []string
			for _, st := range run.Stages {
				all = append(all, st.Name)
			}
			return all, err
		})
}

// completePipeline names the module's pipelines.
func completePipeline(o *option.Module) completer {
	return asked(o, cobra.ShellCompDirectiveNoFileComp, 1,
		func(ctx context.Context, m *gateway.Client, _ []string, _ string) ([]string, error) {
			pipelines, err := m.Pipelines(ctx)
			var all []string
			for _, p := range pipelines {
				all = append(all, p.Name)
			}
			return all, err
		})
}

// completeGroup names boxes, and the groups in them.
func completeGroup(o *option.Module) completer { return completePlace(o, false) }

// completeFile names files as well.
func completeFile(o *option.Module) completer { return completePlace(o, true) }

func completePlace(o *option.Module, files bool) completer {
	return asked(o, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace, 1,
		func(ctx context.Context, m *gateway.Client, _ []string, word string) ([]string, error) {
			var all []string
			if !strings.Contains(word, "/") {
				boxes, err := m.Boxes(ctx)
				for _, b := range boxes {
					all = append(all, b.Name+"/")
				}
				return all, err
			}
			in := word[:strings.LastIndex(word, "/")+1]
			list, err := m.List(ctx, in, "")
			for _, g := range list.Groups {
				all = append(all, in+strings.ReplaceAll(g, "\t", "\n")+"/") // which no word has
			}
			for _, f := range list.Files {
				if files {
					all = append(all, in+strings.ReplaceAll(f.Name, "\t", "\n"))
				}
			}
			return all, err
		})
}
