package command

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/printable"
)

// s3Check is `doctor --s3`.
type s3Check struct {
	wanted  bool
	bucket  string
	timeout time.Duration
}

func (s *s3Check) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&s.wanted, "s3", false, "try what unip needs of the installation's S3 server")
	c.Flags().StringVar(&s.bucket, "bucket", "", "with --s3, where the keys may make no bucket: one to try it in")
	c.Flags().DurationVar(&s.timeout, "timeout", 2*time.Minute, "with --s3: how long its pod may take to start")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("bucket", cobra.NoFileCompletions))
}

// checkUsage refuses flags that say nothing without --s3, and an image beside it.
func (s *s3Check) checkUsage(c *cobra.Command, image string) error {
	if s.wanted && image != "" {
		return exit.Errorf(exit.UsageWrong, "--s3 looks at the cluster, --image at an image: ask for one of them")
	}
	for _, name := range []string{"bucket", "timeout"} {
		if c.Flags().Changed(name) && !s.wanted {
			return exit.Errorf(exit.UsageWrong, "--%s is of --s3, which is missing", name)
		}
	}
	return nil
}

// run shows the results when all are there; on a terminal each of them as it comes, too. What came
// before an error is shown.
func (s *s3Check) run(c *cobra.Command, k *cluster.Cluster, json bool) error {
	progress := output.IsTerminal(os.Stderr)
	if progress {
		fmt.Fprintln(c.ErrOrStderr(), "starting the check in the cluster …")
	}
	all := []needs.Result{}
	end, err := k.CheckS3(c.Context(), s.bucket, s.timeout, func(r needs.Result) {
		all = append(all, r)
		if progress {
			fmt.Fprintf(c.ErrOrStderr(), "%d of %d: %s: %s\n", len(all), len(needs.Needs), printable.Line(r.Check),
				printable.Line(string(r.Outcome)))
		}
	})
	if end.Left != "" {
		fmt.Fprintln(c.ErrOrStderr(), "left in the server, delete it:", printable.Line(end.Left))
	}
	switch {
	case len(all) == 0:
	case json:
		err = errors.Join(err, output.WriteJSON(c.OutOrStdout(), all))
	default:
		if progress {
			fmt.Fprintln(c.ErrOrStderr())
		}
		err = errors.Join(err, needs.Table(c.OutOrStdout(), all))
	}
	if err != nil {
		return err
	}
	var lacks []string
	for _, r := range all {
		if r.Lacks() {
			lacks = append(lacks, r.Check)
		}
	}
	if len(lacks) > 0 {
		return exit.Errorf(exit.Unhealthy, "unip is not to be used with this S3 server; it lacks %s",
			strings.Join(lacks, ", "))
	}
	return nil
}
