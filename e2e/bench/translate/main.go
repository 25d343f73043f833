// Command translate measures `unip translate` beside `helm template` and `kustomize build` on
// modules of 1 to 4000 documents, in one run on one machine: wall time, CPU time and peak memory.
//
// Equivalent means: the same number of documents goes in. For helm a chart has that many templates'
// worth of Deployments made by one loop over values, and another a template file for each, as
// charts are written; for kustomize a base has that many Deployments in one file and gets a name
// prefix. unip makes a checked Knative Service with its ServiceAccount of each document, which is
// more than either of them does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	unip      = flag.String("unip", "bin/unip", "unip")
	helm      = flag.String("helm", "helm", "helm")
	kustomize = flag.String("kustomize", "kustomize", "kustomize")
	rounds    = flag.Int("rounds", 5, "runs of each; the median counts")
	patient   = flag.Bool("patient", false, "let kustomize build 4000 documents as well, which takes a minute or more")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// usage is what one run took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // KiB
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "unip-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start, err := measure(ctx, *rounds*4, *unip, "version")
	if err != nil {
		return err
	}
	fmt.Printf("start-up (`unip version`): %.1f ms\n\n", ms(start.wall))
	fmt.Println(
		"| documents | | wall ms | CPU ms | peak MiB | wall / unip | CPU / unip |\n|---|---|---|---|---|---|---|")
	var thousand time.Duration
	for _, n := range []int{1, 10, 100, 1000, 4000} {
		files, err := write(filepath.Join(dir, fmt.Sprint(n)), n)
		if err != nil {
			return err
		}
		sides := []struct {
			name string
			args []string
		}{
			{"unip translate", []string{*unip, "translate", "-f", files.module}},
			{"helm template, a loop", []string{*helm, "template", "m", files.loop}},
			{"helm template, files", []string{*helm, "template", "m", files.chart}},
			{"kustomize build", []string{*kustomize, "build", files.base}},
		}
		if n > 1000 && !*patient {
			sides = sides[:3]
		}
		var own usage
		for i, s := range sides {
			times := *rounds
			if i > 0 && n >= 1000 {
				times = 1 // they take seconds
			}
			if err := counted(ctx, n, s.args); err != nil {
				return err
			}
			u, err := measure(ctx, times, s.args...)
			if err != nil {
				return err
			}
			if i == 0 {
				own = u
			}
			fmt.Printf("| %d | %s | %.1f | %.1f | %.1f | %.1f | %.1f |\n", n, s.name, ms(u.wall), ms(u.cpu),
				float64(u.memory)/1024, u.wall.Seconds()/own.wall.Seconds(), u.cpu.Seconds()/own.cpu.Seconds())
		}
		if n == 1000 {
			thousand = own.wall
		}
		if n == 4000 {
			fmt.Printf("\n4000 documents take %.2f times as long as 1000\n", own.wall.Seconds()/thousand.Seconds())
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measure runs a command some times and gives the run with the median of the wall times.
func measure(ctx context.Context, times int, args ...string) (usage, error) {
	var all []usage
	for range times {
		c := exec.CommandContext(ctx, args[0], args[1:]...)
		var said strings.Builder
		c.Stdout, c.Stderr = io.Discard, &said
		began := time.Now()
		if err := c.Run(); err != nil {
			return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said.String())
		}
		r := c.ProcessState.SysUsage().(*syscall.Rusage)
		all = append(all, usage{time.Since(began), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), r.Maxrss})
	}
	slices.SortFunc(all, func(a, b usage) int { return int(a.wall - b.wall) })
	return all[len(all)/2], nil
}

// counted checks that a side does its work: each of the n documents is in its output.
func counted(ctx context.Context, n int, args []string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if got := strings.Count(string(out), "image: registry.example.com/digits:v1"); err != nil || got != n {
		return fmt.Errorf("%s made %d of %d objects: %w", strings.Join(args, " "), got, n, err)
	}
	return nil
}

type inputs struct{ module, loop, chart, base string }

const component = `apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata:
  name: component-%d
  namespace: pu-bench-pa-module
  annotations:
    knative.unified-platform.cs.hse.ru/max-scale: "3"
spec:
  image: {existingImageName: "registry.example.com/digits:v1"}
  env: [{name: THREADS, value: "2"}]
  mlService: {inference: "digits.predict:predict"}
  resourceLimits: {cpu: "1", memory: 512Mi}
`

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: component-%[1]s
  namespace: pu-bench-pa-module
spec:
  selector:
    matchLabels: {app: component-%[1]s}
  template:
    metadata:
      labels: {app: component-%[1]s}
    spec:
      containers:
      - name: function
        image: registry.example.com/digits:v1
        env:
        - {name: THREADS, value: "2"}
        resources:
          limits: {cpu: "1", memory: 512Mi}
`

func write(dir string, n int) (inputs, error) {
	in := inputs{filepath.Join(dir, "module.yaml"), filepath.Join(dir, "loop"), filepath.Join(dir, "chart"),
		filepath.Join(dir, "base")}
	const chart = "apiVersion: v2\nname: module\nversion: 0.1.0\n"
	texts := map[string]string{
		filepath.Join(in.loop, "Chart.yaml"):  chart,
		filepath.Join(in.loop, "values.yaml"): fmt.Sprintf("count: %d\n", n),
		filepath.Join(in.loop, "templates/d.yaml"): "{{- range $i := until (int .Values.count) }}\n---\n" +
			fmt.Sprintf(deployment, "{{ $i }}") + "{{- end }}\n",
		filepath.Join(in.chart, "Chart.yaml"): chart,
		filepath.Join(in.base,
			"kustomization.yaml"): "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: a-\nresources: [all.yaml]\n",
	}
	var module, base []string
	for i := range n {
		d := fmt.Sprintf(deployment, fmt.Sprint(i))
		module, base = append(module, fmt.Sprintf(component, i)), append(base, d)
		texts[filepath.Join(in.chart, fmt.Sprintf("templates/%d.yaml", i))] = d
	}
	texts[in.module], texts[filepath.Join(in.base, "all.yaml")] = strings.Join(module, "---\n"),
		strings.Join(base, "---\n")
	for name, text := range texts {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return in, err
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return in, err
		}
	}
	return in, nil
}
