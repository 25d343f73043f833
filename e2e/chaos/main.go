// Command chaos makes faults on the local cluster, by a seeded plan, while a module's runs are under
// way, and then judges what became of them: `make chaos SEED=7 RUNS=100`.
//
// The plan (package plan) says what is asked for and what goes wrong; work is the module and what
// each of its runs must leave; between stands in the way of S3, the API server and the Brokers, and
// knows the moments that aimed faults wait for; judge holds what was asked against what is found.
// Here are the hands: who puts files, strikes, watches and reads.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/plan"
)

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "what the plan is made of")
	flag.IntVar(&o.runs, "runs", 100, "how many runs are asked for")
	flag.DurationVar(&o.patience, "patience", 8*time.Minute,
		"how long after the last fault everything may take to come to its end")
	flag.StringVar(&o.only, "only", "", "make only the faults whose kind has this in it")
	flag.IntVar(&o.replicas, "replicas", 0, "of the controller; 0 leaves it as it is")
	flag.BoolVar(&o.jetstream, "jetstream", onJetStream(), "the channels of the cluster's Brokers are NATS JetStream's")
	flag.BoolVar(&o.keep, "keep", false, "leave the module behind")
	onlyPlan := flag.Bool("plan", false, "print the plan and end")
	file := flag.String("json", "", "write the report to this file, too")
	onlyTables := flag.Bool("tables", false, "print the tables of docs/reliability.md from such files, the arguments")
	flag.Parse()
	if *onlyTables {
		all, err := readReports(flag.Args())
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
		fmt.Print(tables(all))
		return
	}
	if *onlyPlan {
		fmt.Print(plan.Make(o.seed, o.runs, o.jetstream))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := run(ctx, o)
	if report != nil {
		fmt.Print("\n", report.Markdown())
		if *file != "" {
			b, encoding := json.MarshalIndent(report, "", "  ")
			if encoding == nil {
				encoding = os.WriteFile(*file, b, 0o600)
			}
			if encoding != nil {
				fmt.Fprintln(os.Stderr, "chaos:", encoding)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	if len(report.Findings) > 0 {
		os.Exit(2)
	}
}
