// Command release makes what an installation and its users need of one commit, in one folder: the
// images, the YAML that installs them, a chart, the command line for each platform, what each of
// them is made of, and checksums. The same commit, version and registry give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what to make, and of what.
type options struct {
	version   string // without the v
	registry  string // what the images' names begin with
	push      bool   // bring the images there
	dirty     bool   // of a checkout with changes that are not committed
	platforms []platform
	out       string
	ko, sbom  string // the programs that make images and lists of modules

	commit string
	made   time.Time // when the commit was made
	notes  string    // what is new in it
}

// platform is a system and its processor, in Go's words.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// next is the version that snapshots lead to, so that each is later than the release before it.
const next = "0.2.0"

const everything = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

func main() {
	var o options
	flag.StringVar(&o.version, "version", "", "such as 1.2.3; without it a snapshot, named by its commit")
	flag.StringVar(&o.registry, "registry", "", "where the images will be, such as registry.example.org/unip")
	flag.BoolVar(&o.push, "push", false, "push the images there")
	flag.BoolVar(&o.dirty, "dirty", false, "take changes that are not committed, too")
	platforms := flag.String("platforms", everything, "for which systems; images are made for those of linux")
	flag.StringVar(&o.out, "out", "dist", "the folder to write; what is in it goes")
	flag.StringVar(&o.ko, "ko", "ko", "the program ko")
	flag.StringVar(&o.sbom, "cyclonedx-gomod", "cyclonedx-gomod", "the program cyclonedx-gomod")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := o.complete(ctx, *platforms)
	if err == nil {
		err = o.make(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// complete reads what the commit says, and refuses what would be no release.
func (o *options) complete(ctx context.Context, platforms string) error {
	for p := range strings.SplitSeq(platforms, ",") {
		system, arch, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("--platforms: %q is not of the form linux/amd64", p)
		}
		o.platforms = append(o.platforms, platform{system, arch})
	}
	if o.registry == "" {
		return errors.New("--registry must say where the images will be")
	}
	changes, err := git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" && !o.dirty {
		return fmt.Errorf("there are changes that are not committed, and a release is of a commit:\n%s", changes)
	}
	if o.commit, err = git(ctx, "rev-parse", "--short=12", "HEAD"); err != nil {
		return err
	}
	seconds, err := git(ctx, "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("when the commit was made: %w", err)
	}
	o.made = time.Unix(unix, 0).UTC()
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	section := o.version
	if o.version == "" {
		o.version, section = next+"-snapshot.g"+o.commit, unreleased
	}
	o.version = strings.TrimPrefix(o.version, "v")
	o.notes, err = notes(string(changelog), strings.TrimPrefix(section, "v"))
	return err
}

func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// make writes the folder, its parts in the order in which one needs the other.
func (o *options) make(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(o.out), os.MkdirAll(filepath.Join(o.out, sboms), 0o755)); err != nil {
		return err
	}
	var made *images
	var whole []byte
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"images", func() (err error) {
			made, err = o.makeImages(ctx)
			return err
		}},
		{"unip.yaml and the chart", func() (err error) {
			objects, err := parse(made.config)
			if err != nil {
				return err
			}
			o.stamp(objects)
			if whole, err = encode(objects); err != nil {
				return err
			}
			chart, err := o.chart(objects)
			if err != nil {
				return err
			}
			return errors.Join(o.write("unip.yaml", whole), o.write("unip-chart-"+o.version+".tgz", chart),
				o.write("NOTES.md", []byte(o.notes)))
		}},
		{"programs", func() error { return o.makePrograms(ctx, made, whole) }},
		{"checksums", func() error { return writeSums(o.out) }},
	} {
		fmt.Fprintf(os.Stderr, "release %s: %s …\n", o.version, step.name)
		begin := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(os.Stderr, "  took %.0f s\n", time.Since(begin).Seconds())
	}
	fmt.Fprintf(os.Stderr, "release %s of commit %s lies in %s\n", o.version, o.commit, o.out)
	return nil
}

func (o *options) write(name string, b []byte) error {
	return os.WriteFile(filepath.Join(o.out, name), b, 0o644)
}

// linux are the platforms that images are for: the ones wanted, or the usual one.
func (o *options) linux() []platform {
	var all []platform
	for _, p := range o.platforms {
		if p.os == "linux" {
			all = append(all, p)
		}
	}
	if all == nil {
		all = []platform{{"linux", "amd64"}}
	}
	return all
}
