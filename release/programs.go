package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// makePrograms builds the command line for each platform. It knows its version, the images of the
// release, and the YAML that installs them.
func (o *options) makePrograms(ctx context.Context, made *images, installation []byte) error {
	embedded, err := embed(installation)
	if err != nil {
		return err
	}
	flags := []string{"-s", "-w", "-X main.version=v" + o.version, "-X main.commit=" + o.commit,
		"-X main.unipYAML=" + embedded}
	for variable, image := range map[string]string{"imageInference": "inference", "imageGateway": "gateway"} {
		digest, ok := made.digests[image]
		if !ok {
			return fmt.Errorf("config/ names no image %s", image)
		}
		flags = append(flags, "-X main."+variable+"="+o.registry+"/"+image+"@"+digest)
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "unip-programs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range o.platforms {
		fmt.Fprintf(os.Stderr, "  %s\n", p)
		files := []file{{"LICENSE", 0o644, license}}
		programs := map[string]string{"unip": strings.Join(flags, " "), "unip-dev": "-s -w"}
		if p.os == "windows" {
			delete(programs, "unip-dev") // a function's processes need Unix
		}
		for _, name := range []string{"unip", "unip-dev"} {
			ldflags, wanted := programs[name]
			if !wanted {
				continue
			}
			f, err := o.build(ctx, filepath.Join(dir, name), name, ldflags, p)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		if err := o.pack(p, files); err != nil {
			return err
		}
	}
	return nil
}

// embed is the form in which the linker brings a file into a program.
func embed(text []byte) (string, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	_, err = z.Write(text)
	err = errors.Join(err, z.Close())
	return base64.StdEncoding.EncodeToString(b.Bytes()), err
}

// build compiles one program, and lists what it is made of.
func (o *options) build(ctx context.Context, path, name, ldflags string, p platform) (file, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", path,
		"./cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return file{}, fmt.Errorf("building %s for %s: %w\n%s", name, p, err, out)
	}
	list := filepath.Join(o.out, sboms, fmt.Sprintf("%s-%s-%s.cdx.json", name, p.os, p.arch))
	cmd = exec.CommandContext(ctx, o.sbom, "bin", "-json", "-noserial", "-output", list, "-version", "v"+o.version,
		path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return file{}, fmt.Errorf("listing the modules of %s: %w\n%s", name, err, out)
	}
	if err := o.settle(list); err != nil {
		return file{}, fmt.Errorf("%s: %w", list, err)
	}
	data, err := os.ReadFile(path)
	if p.os == "windows" {
		name += ".exe"
	}
	return file{name, 0o755, data}, err
}

// settle takes out of a list what is of the moment, and of the program that made it.
func (o *options) settle(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	about := object(all).within("metadata")
	about["timestamp"] = o.made.Format(time.RFC3339)
	tools, _ := about["tools"].([]any)
	for _, t := range tools {
		if tool, ok := t.(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	if text, err = json.MarshalIndent(all, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(list, append(text, '\n'), 0o644)
}

func (o *options) pack(p platform, files []file) error {
	name := fmt.Sprintf("unip-%s-%s-%s", o.version, p.os, p.arch)
	if p.os == "windows" {
		return archive(filepath.Join(o.out, name+".zip"), func(w io.Writer) error { return zipFiles(w, o.made, files) })
	}
	return archive(filepath.Join(o.out, name+".tar.gz"), func(w io.Writer) error { return tarGz(w, o.made, files) })
}
