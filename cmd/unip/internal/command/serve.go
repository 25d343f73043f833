package command

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/code"
	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/inference/service"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// serving is what `unip serve` is told.
type serving struct {
	option.Translation
	component, dir, python, boxes, address string
	hosts                                  []string
	port                                   int
	reload                                 bool
	format                                 option.Format
}

func serveCommand(build release.Build) *cobra.Command {
	s := &serving{Translation: option.Translation{Build: build}}
	c := &cobra.Command{
		Use:   "serve -f FILE|FOLDER|-",
		Short: "Serve an MLComponent's function on this machine, from its code",
		Long: `Serve reads the manifests and answers predict for an MLComponent as its service in a cluster does,
without a cluster and without an image: the same server, with your Python and the code in --dir. The
environment is your own with the manifest's env. A function in a file of the container, such as
/app/serve.py:f, is that file below --dir, or its nearest end: serve.py. A
model is looked for below --boxes, a folder per DataBox: the object of modelPath, in
<boxes>/<box>/…; while it is not there, calls are answered with 503, as in a cluster, and when it
comes, it is loaded. When it changes, a fresh worker loads it beside the old one, as in a cluster, and one
that cannot be loaded leaves the old one in service. Everybody who calls is the user local, which the function is told
when an API of the component has identityPassThrough. FILE values of calls are files
below the same folders: <box>/<group>/<file> is <boxes>/<box>/<group>/<file>. So are the folders of
connectedBoxes: s3Path of a box is <boxes>/<box>/<s3Path>, and variables of the manifest's env that name
a mountPath lead there; a path that cannot be made on this machine is named at the start. What the function
prints, and a line per call, go to standard error. When the function's processes hold more memory than
its limit, the worker that holds most is ended, and its call is answered as in a cluster; limits of the
processor are not held. Web pages of other origins cannot call, but for
those that the annotation origins of the component's API names, and the URL's host must be
localhost, 127.0.0.1 or [::1] with the port; with another --address any address of this machine;
other names need --allow-host. Links that lead out of --boxes are not followed. It
ends with Ctrl-C; with 1 when the function cannot be started.`,
		Example: `  unip serve -f manifests/ --dir . --reload
  unip serve -f manifests/ --component digits --python .venv/bin/python --boxes testdata/boxes --port 8080
  unip predict http://127.0.0.1:8002 --input text=hello`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	s.AddFlags(c)
	f := c.Flags()
	f.StringVar(&s.component, "component", "", "which MLComponent (default: the only one)")
	f.StringVar(&s.dir, "dir", ".", "the function's working folder, where its modules are found")
	f.StringVar(&s.python, "python", "python3", "the Python that runs it, 3.8 or later, such as .venv/bin/python")
	f.StringVar(&s.boxes, "boxes", "boxes", "folder with a folder for each DataBox")
	f.IntVar(&s.port, "port", 0, "port of HTTP (default: servicePort, 8002)")
	f.StringVar(&s.address, "address", "127.0.0.1",
		"address at which to listen; with 0.0.0.0 everybody who reaches this machine can call")
	f.StringSliceVar(&s.hosts, "allow-host", nil,
		"a host name by which callers may call besides localhost, such as that of a port that is passed on; several times")
	f.BoolVar(&s.reload, "reload", false, "start the function again when a .py file below --dir changes")
	s.format.AddTo(c, f, "text or json, of what goes to standard error", "text", "json")
	cobra.CheckErr(errors.Join(c.MarkFlagDirname("dir"), c.MarkFlagDirname("boxes"), c.MarkFlagFilename("python"),
		c.RegisterFlagCompletionFunc("component", s.completeComponent)))
	return c
}

// originsOf are the sites whose pages may call any API of a component.
func originsOf(all []module.API, component string) []string {
	var sites []string
	for _, a := range all {
		if a.Route.Kind == routes.KindMLComponent && a.Route.Target == component {
			sites = append(sites, a.Route.TrustedOrigins...)
		}
	}
	return sites
}

// completeComponent names the components of the manifests that are given so far.
func (s *serving) completeComponent(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if slices.Contains(s.Names, "-") { // not the shell's to read
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if files, err := s.Read(c.Context(), c.InOrStdin()); err == nil {
		m, _ := manifest.Read(files)
		for _, x := range m.Components {
			names = append(names, x.Meta.Name.Value)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (s *serving) run(c *cobra.Command) error {
	if err := s.format.Check(); err != nil {
		return err
	}
	m, err := s.Decide(c)
	if err != nil {
		return err
	}
	x, err := s.choose(m.Components)
	if err != nil {
		return err
	}
	o := devserver.Options{
		Component: x.Name, Workers: x.Workers, Memory: x.Resources.Limits.Memory().Value(),
		Timeout: time.Duration(x.TimeoutSeconds) * time.Second,
		Shown: slices.ContainsFunc(m.APIs, func(a module.API) bool {
			return a.Route.Target == x.Name && a.Route.IdentityPassThrough
		}),
		Origins: originsOf(m.APIs, x.Name),
		Reload:  s.reload, Hosts: s.hosts, Output: devserver.Printed(os.Stderr),
		Log: slog.New(devserver.NewHandler(c.ErrOrStderr(), x.Name)),
	}
	if s.format.JSON() {
		o.Output, o.Log = os.Stderr, slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	if o.Dir, o.Python, err = s.places(); err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	if err := s.checkCode(c, o.Dir, x); err != nil {
		return err
	}
	o.Inference, o.Loader = devserver.Place(o.Dir, x.Inference), devserver.Place(o.Dir, x.Loader)
	if o.Inference != x.Inference {
		o.Log.Info(fmt.Sprintf("in place of the function %s: %s", x.Inference, o.Inference))
	}
	mounts, err := s.mounts(x.Mounts)
	if err != nil {
		return err
	}
	undo, err := mounts.Place(os.Geteuid() == 0, o.Log)
	if err != nil {
		return err
	}
	defer undo()
	o.Env = devserver.Environment(m, x, mounts, c.ErrOrStderr())
	if x.Model != nil {
		o.Updates = x.Model.Updates
		if o.Model, err = s.model(*x.Model, o.Log); err != nil {
			return err
		}
	}
	if o.Folders, err = s.folders(m.Namespace, x.Boxes, o.Log); err != nil {
		return err
	}
	port := x.Port
	if s.port != 0 {
		port = s.port
	}
	address := net.JoinHostPort(s.address, strconv.Itoa(port))
	if o.Listener, err = (&net.ListenConfig{}).Listen(c.Context(), "tcp", address); err != nil {
		return exit.Errorf(exit.NotServable, "%v; --port chooses another port", err)
	}
	err = devserver.Run(c.Context(), o)
	var start *devserver.StartError
	if errors.As(err, &start) {
		return exit.Because(exit.NotServable, err)
	}
	return err
}

// checkCode says what in the function's code cannot work; what Python finds itself, it says itself.
func (s *serving) checkCode(c *cobra.Command, dir string, x module.Component) error {
	found, err := code.Check(dir, &module.Module{Components: []module.Component{x}})
	for _, d := range found {
		if d.Severity == manifest.Warning {
			fmt.Fprintln(c.ErrOrStderr(), printable.Line(d.String()))
		}
	}
	return err
}

// choose finds the component that is meant.
func (s *serving) choose(all []module.Component) (module.Component, error) {
	var names []string
	for _, x := range all {
		if x.Name == s.component || (s.component == "" && len(all) == 1) {
			return x, nil
		}
		names = append(names, x.Name)
	}
	switch {
	case len(all) == 0:
		return module.Component{}, exit.Errorf(exit.InputWrong, "there is no MLComponent in the manifests")
	case s.component == "":
		return module.Component{}, exit.Errorf(exit.UsageWrong, "--component is missing: one of %s",
			strings.Join(names, ", "))
	}
	return module.Component{}, exit.Errorf(exit.UsageWrong, "--component: there is no MLComponent %q; there is %s",
		s.component, strings.Join(names, ", "))
}

// places are the working folder and the Python; a path is meant from the current folder.
func (s *serving) places() (dir, python string, err error) {
	if dir, err = filepath.Abs(s.dir); err != nil {
		return "", "", err
	}
	switch info, err := os.Stat(dir); {
	case err != nil:
		return "", "", err
	case !info.IsDir():
		return "", "", fmt.Errorf("--dir: %s is no folder", s.dir)
	}
	if python, err = exec.LookPath(s.python); err != nil {
		return "", "", fmt.Errorf("--python: %w", err)
	}
	python, err = filepath.Abs(python)
	return dir, python, err
}

// model finds the model below the folder of boxes and says where that is: the function's loader
// gets this path, not the manifest's.
func (s *serving) model(m module.Model, log *slog.Logger) (*devserver.Model, error) {
	boxes, err := filepath.Abs(s.boxes)
	if err != nil {
		return nil, err
	}
	local := devserver.OpenModel(boxes, m.Box, m.Object)
	shown := filepath.Join(s.boxes, m.Box, filepath.FromSlash(m.Object))
	if why := local.Missing(); why != "" {
		log.Warn(fmt.Sprintf("in place of the model %s: %s; %s, and calls are answered with 503 until it comes", m.Path,
			shown, why))
	} else {
		log.Info(fmt.Sprintf("in place of the model %s: %s", m.Path, shown))
	}
	return local, nil
}

// folders are those in the role of the boxes that the component is connected to, nil where there is
// none.
func (s *serving) folders(namespace string, boxes []module.FileBox, log *slog.Logger) (*devserver.Folders, error) {
	if len(boxes) == 0 {
		return nil, nil
	}
	dir, err := filepath.Abs(s.boxes)
	if err != nil {
		return nil, err
	}
	f := &devserver.Folders{Dir: dir, Namespace: namespace}
	for _, b := range boxes {
		f.Boxes = append(f.Boxes, service.Box{Name: b.Name, ReadOnly: b.ReadOnly})
		log.Info(fmt.Sprintf("in place of the files of box %s: %s", b.Name, filepath.Join(s.boxes, b.Name)))
	}
	return f, nil
}

// mounts are the folders in the role of those that the component mounts.
func (s *serving) mounts(all []module.Mount) (devserver.Mounts, error) {
	dir, err := filepath.Abs(s.boxes)
	if err != nil {
		return nil, err
	}
	var found devserver.Mounts
	for _, m := range all {
		below := filepath.Join(m.Box, filepath.FromSlash(m.Prefix))
		found = append(found, devserver.Mount{Path: m.Path, Local: filepath.Join(dir, below),
			Shown: filepath.Join(s.boxes, below), Write: m.Write})
	}
	return found, nil
}
