package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// images are what ko has made of config/.
type images struct {
	config  []byte            // config/ with the images' names in the registry, by digest
	digests map[string]string // by the image's short name, such as gateway
}

// workshop is the registry that ko knows: it lives in this process, and holds the base and what ko
// makes of it. Its name stands in the images, so it is the same always; a proxy leads there.
const workshop = "unip.localhost"

// sboms is the folder of the lists of what images and programs are made of.
const sboms = "sbom"

var made = regexp.MustCompile(regexp.QuoteMeta(workshop) + `/unip/([a-z-]+)@(sha256:[0-9a-f]{64})`)

func (o *options) makeImages(ctx context.Context) (*images, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler:           registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))),
	}
	go func() { _ = server.Serve(listener) }() // until Close
	defer server.Close()
	at := listener.Addr().String()

	index, err := base(o.linux())
	if err != nil {
		return nil, err
	}
	ref, err := name.ParseReference(at + "/base:unip")
	if err != nil {
		return nil, err
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return nil, fmt.Errorf("the base: %w", err)
	}
	digest, err := index.Digest()
	if err != nil {
		return nil, err
	}
	resolved, err := o.runKo(ctx, "http://"+at, workshop+"/base@"+digest.String())
	if err != nil {
		return nil, err
	}
	all := &images{digests: map[string]string{}}
	for _, m := range made.FindAllSubmatch(resolved, -1) {
		all.digests[string(m[1])] = string(m[2])
	}
	all.config = bytes.ReplaceAll(resolved, []byte(workshop+"/unip/"), []byte(o.registry+"/"))
	return all, o.carry(ctx, at, all)
}

// runKo builds what config/ names and returns config/ with the images' names.
func (o *options) runKo(ctx context.Context, proxy, base string) ([]byte, error) {
	var platforms []string
	for _, p := range o.linux() {
		platforms = append(platforms, p.String())
	}
	var stderr bytes.Buffer
	ko := exec.CommandContext(ctx, o.ko, "resolve", "--base-import-paths", "--sbom-dir", filepath.Join(o.out, sboms),
		"--platform", strings.Join(platforms, ","), "-f", "config/")
	ko.Stderr = &stderr
	ko.Env = append(os.Environ(), "KO_DOCKER_REPO="+workshop+"/unip", "KO_DEFAULTBASEIMAGE="+base,
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(o.made.Unix(), 10), "KO_CONFIG_PATH=ko.yaml", "KO_DEFAULTPLATFORMS=",
		"HTTP_PROXY="+proxy, "http_proxy="+proxy, "NO_PROXY=", "no_proxy=")
	out, err := ko.Output()
	if err != nil {
		return nil, fmt.Errorf("ko resolve: %w\n%s", err, stderr.String())
	}
	return out, nil
}

// carry brings the images from the workshop to where they are for others: into the folder, in the
// form that every tool reads, and to the registry when they are to be pushed.
func (o *options) carry(ctx context.Context, at string, all *images) error {
	dir, err := os.MkdirTemp("", "unip-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	for _, short := range slices.Sorted(maps.Keys(all.digests)) {
		from, err := name.ParseReference(at + "/unip/" + short + "@" + all.digests[short])
		if err != nil {
			return err
		}
		desc, err := remote.Get(from, remote.WithContext(ctx))
		if err != nil {
			return err
		}
		// An engine that reads the folder looks for an image by this name.
		called := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": short})
		tag, err := name.NewTag(o.registry + "/" + short + ":" + o.version)
		if err != nil {
			return fmt.Errorf("--registry: %w", err)
		}
		if desc.MediaType.IsIndex() {
			keep := func(i v1.ImageIndex) error { return to.AppendIndex(i, called) }
			err = carryOne(ctx, o, tag, desc.ImageIndex, keep, remote.WriteIndex)
		} else {
			keep := func(i v1.Image) error { return to.AppendImage(i, called) }
			err = carryOne(ctx, o, tag, desc.Image, keep, remote.Write)
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", short, err)
		}
	}
	return archive(filepath.Join(o.out, "unip-images-"+o.version+".tar"), func(w io.Writer) error {
		return tarFolder(w, dir, o.made)
	})
}

// carryOne does that for one image, or for an index of the images of several platforms.
func carryOne[T any](
	ctx context.Context, o *options, tag name.Tag, get func() (T, error), keep func(T) error,
	push func(name.Reference, T, ...remote.Option) error,
) error {
	image, err := get()
	if err == nil {
		err = keep(image)
	}
	if err == nil && o.push {
		err = push(tag, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	return err
}
