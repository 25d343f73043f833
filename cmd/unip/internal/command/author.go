package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/printable"
)

// uploadTimeout is how long the storage may take to answer when it has all of a file.
const uploadTimeout = 10 * time.Minute

// authorPut writes files into the developer's area of a box: with what the author may do in the cluster,
// or as one of the developers whom the box names, through the module's API.
type authorPut struct {
	option.Cluster
	namespace string
	module    *option.Module
	overwrite bool
}

func (o *authorPut) addFlags(c *cobra.Command) {
	o.AddFlags(c)
	c.Flags().StringVarP(&o.namespace, "namespace", "n", "",
		"for BOX:/PATH: the module's namespace (default: that of the module's URL, else the kubeconfig's)")
}

// isDevelopers reports a place that is, or was meant to be, in the developer's area of a box.
func isDevelopers(place string) bool {
	box, _, _ := strings.Cut(place, "/")
	return strings.Contains(box, ":")
}

// refuseDevelopers is for commands that know the caller's own files alone.
func refuseDevelopers(place string) error {
	if !isDevelopers(place) {
		return nil
	}
	return exit.Errorf(exit.UsageWrong,
		"%s is in the developer's area of a box, where `files put` writes; this command is for your own files, BOX/GROUP/FILE",
		printable.Line(place))
}

// run writes a file, or all files of a folder.
func (o *authorPut) run(c *cobra.Command, from, to string, recursive bool) error {
	box, below, ok := strings.Cut(to, ":/")
	if !ok || box == "" || strings.Contains(box, "/") {
		return exit.Errorf(exit.UsageWrong, "%s: a place in the developer's area of a box is BOX:/PATH",
			printable.Line(to))
	}
	all, err := whatToWrite(from, below, recursive)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	for _, t := range all {
		request := put.Request{Key: t.Path, Size: t.Size}
		if err := request.Check(); err != nil {
			if strings.HasPrefix(t.Path+"/", databox.UsersArea) {
				err = fmt.Errorf("%w; %s/GROUP/FILE, without the colon, is a file of your own", err, box)
			}
			return exit.Because(exit.InputWrong, fmt.Errorf("%s:/%s: %w", box, printable.Line(t.Path), err))
		}
		t.key, t.Path = t.Path, box+":/"+t.Path
	}
	if err := o.module.Output.Check(); err != nil {
		return err
	}
	if o.byAPI(c) {
		m, err := o.module.Client()
		if err != nil {
			return err
		}
		write := func(ctx context.Context, t *transfer, progress func(int64)) error {
			return putFile(ctx, m, t, o.overwrite, progress)
		}
		return transferAll(c, &o.module.Output, to, all, write)
	}
	k, err := o.Connect(c)
	if err != nil {
		return fmt.Errorf("%w; BOX:/PATH is written by who may change the DataBox, or with --url by one of its developers",
			err)
	}
	if err := o.findNamespace(); err != nil {
		return err
	}
	storage := &gateway.Client{HTTP: option.HTTPClient(uploadTimeout)}
	write := func(ctx context.Context, t *transfer, progress func(int64)) error {
		return o.write(ctx, k, storage, box, t, progress)
	}
	return transferAll(c, &o.module.Output, to, all, write)
}

// byAPI reports that the module's API is asked: where that is said, or where there is no kubeconfig.
func (o *authorPut) byAPI(c *cobra.Command) bool {
	f := c.Flags()
	switch {
	case f.Changed("namespace") || f.Changed("kubeconfig") || f.Changed("context"):
		return false
	case f.Changed("url"):
		return true
	}
	_, err := cluster.Config("", "")
	return o.module.URL != "" && err != nil
}

// findNamespace is that of the module whose URL is given, else the kubeconfig's.
func (o *authorPut) findNamespace() (err error) {
	if u, err := url.Parse(o.module.URL); o.namespace == "" && err == nil {
		o.namespace, _, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	}
	if o.namespace == "" {
		o.namespace, err = cluster.Namespace(o.Kubeconfig, o.Context)
	}
	return err
}

// whatToWrite is what lies at a place of this machine, and the keys that it gets below a path of the
// developer's area: a folder when it is empty or ends in "/".
func whatToWrite(from, to string, recursive bool) ([]*transfer, error) {
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() && !recursive:
		return nil, fmt.Errorf("%s is a folder: with -r what is in it is uploaded", from)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", from)
	case !info.IsDir():
		if to == "" || strings.HasSuffix(to, "/") {
			to += filepath.Base(from)
		}
		return []*transfer{{Path: to, File: from, Size: info.Size()}}, nil
	}
	all, err := filesBelow(from)
	for _, t := range all {
		t.Path = path.Join(to, t.Path)
	}
	return all, err
}

// write asks for a link to one object and writes it.
func (o *authorPut) write(ctx context.Context, k *cluster.Cluster, storage *gateway.Client, box string, t *transfer,
	progress func(int64)) (err error) {
	local, err := os.Open(t.File)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	defer local.Close()
	asked, err := put.Ask(t.key, t.Size, o.overwrite)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	link, end, err := k.PutLink(ctx, o.namespace, box, asked)
	defer func() { err = errors.Join(err, end()) }()
	if no, ok := errors.AsType[*put.RefusedError](err); ok {
		if no.Reason == put.Exists {
			err = fmt.Errorf("%w: --overwrite replaces it", err)
		}
		if no.Reason == put.StorageError || no.Reason == put.LinksClosed { // not the author's doing
			return err
		}
		return exit.Because(exit.Refused, err)
	}
	if err != nil {
		return err
	}
	t.Type = media.Of("", t.Path)
	t.ETag, err = storage.Upload(ctx, link, t.Type, local, t.Size, progress)
	return err
}
