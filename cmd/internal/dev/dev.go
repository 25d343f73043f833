// Package dev is the command line of `unip dev`. The program unip-dev carries it out, and unip, which
// starts that program, shows the same help.
package dev

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/internal/option"
)

// Options are what `unip dev` is told.
type Options struct {
	option.Manifests
	Config                string
	Lenient, AllowForeign bool

	Dir, State, Python string // State "": .unip below Dir
	Address            string
	Port               int
	Hosts              []string
	As                 string
	Engine             string
	EngineFlags        []string
	Parallel           int // 0: as many stages as are usual
	Idle               time.Duration
	Reload             bool
	Events             bool
	Sink               string
	Format             option.Format
}

// Engines run stages.
var Engines = []string{"process", "podman", "docker"}

// Command is the command, carried out by run.
func Command(run func(*cobra.Command, *Options) error) *cobra.Command {
	o := &Options{}
	c := &cobra.Command{
		Use:   "dev -f FILE|FOLDER|-",
		Short: "Run the whole module on this machine: APIs, files, pipelines and functions",
		Long: `Dev serves a whole module at http://127.0.0.1:8080/<namespace>/, without a cluster, an image or root: its
APIs with the users of the manifests' Secrets, files by links, uploads that start pipelines, runs with
their logs, and each MLComponent, whose Python starts at the first call and ends when nobody calls. The
code is that of a cluster; Jobs of stages are processes here. All other commands of unip work with it,
with --url or UNIP_URL.

Boxes are folders, .unip/boxes/<box>/ below --dir: look into them, and put files there by hand. A file
that comes into users/<user>/file_groups/ counts as that user's upload. They and the runs stay when dev
ends; what was under way goes on at the next start.

Stages and functions are processes of yours, in a folder of their own, with your Python: they are not
locked in, so run only code that you trust. A path of a container that cannot be made here, such as
/models, is named at the start, with where its files are instead. With --engine podman or docker stages
run in their images.

It ends with Ctrl-C, and everything that it has started ends with it.`,
		Example: `  unip dev -f manifests/ --dir .
  unip dev -f manifests/ --python .venv/bin/python --reload --as ann
  UNIP_URL=http://127.0.0.1:8080/pu-ann-pa-leaves unip files put leaf.csv visitors/incoming/leaf.csv`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return run(c, o) },
	}
	o.AddFlags(c)
	f := c.Flags()
	f.StringVar(&o.Config, "config", "", "the installation's unip.yaml (default: the local cluster's)")
	f.BoolVar(&o.Lenient, "lenient", false, "unknown fields are warnings, not errors")
	f.BoolVar(&o.AllowForeign, "allow-foreign", false, "take manifests with objects of other groups, wherever these go")
	f.StringVar(&o.Dir, "dir", ".", "the folder with the code, where functions and stages run")
	f.StringVar(&o.State, "state", "", "the folder of boxes and runs (default: .unip below --dir)")
	f.StringVar(&o.Python, "python", "python3", "the Python of functions and stages, such as .venv/bin/python")
	f.IntVar(&o.Port, "port", 8080, "port of HTTP; 0 is one that is free")
	f.StringVar(&o.Address, "address", "127.0.0.1",
		"address at which to listen; with 0.0.0.0 everybody who reaches this machine can call")
	f.StringSliceVar(&o.Hosts, "allow-host", nil,
		"a host name by which callers may call besides localhost, such as that of a port that is passed on; several times")
	f.StringVar(&o.As, "as", "", "who calls without a password, on this machine only")
	f.StringVar(&o.Engine, "engine", Engines[0], "what runs stages: process, or their images by podman or docker")
	f.StringArrayVar(&o.EngineFlags, "engine-flag", nil, "a flag for the engine's run command, as it is; may be repeated")
	f.IntVar(&o.Parallel, "parallel", 0,
		"how many stages are at work at once (default: twice as many as processors, at least 4)")
	f.DurationVar(&o.Idle, "idle", time.Minute, "how long the Python of an MLComponent stays when nobody calls it")
	f.BoolVar(&o.Reload, "reload", false, "take up the manifests and the functions' code when a file changes")
	f.BoolVar(&o.Events, "events", false, "show the module's CloudEvents")
	f.StringVar(&o.Sink, "sink", "", "an address to which the module's CloudEvents are sent as well")
	o.Format.AddTo(c, f, "text or json, of what is told", "text", "json")
	cobra.CheckErr(errors.Join(c.MarkFlagDirname("dir"), c.MarkFlagDirname("state"), c.MarkFlagFilename("python"),
		c.MarkFlagFilename("config", "yaml", "yml")))
	option.Complete(c, "engine", Engines...)
	return c
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exit.Errorf(exit.UsageWrong, "unexpected argument %q; files are given with -f", args[0])
}
