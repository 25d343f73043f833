package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/e2e/freeport"
)

// folder holds the program unip, which is built once.
var folder string

func TestMain(m *testing.M) {
	engine.Guard()
	engine.Enter()
	os.Exit(func() int {
		if filepath.Base(os.Args[0]) != "unip-dev" { // it is the test itself
			var err error
			if folder, err = os.MkdirTemp("", "unip-dev-test-"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(folder)
			build := exec.Command("go", "build", "-o", folder, "../unip")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
				return 1
			}
		}
		testscript.Main(keeping{m}, map[string]func(){"unip-dev": func() { os.Exit(run()) }})
		return 0
	}())
}

// keeping runs tests, and removes the folder when they are over: testscript.Main ends the process.
type keeping struct{ *testing.M }

func (k keeping) Run() int {
	defer os.RemoveAll(folder)
	return k.M.Run()
}

// Stories of somebody with a module on one machine. $PORT is a port that is free.
func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "HOME="+e.WorkDir, "PORT="+strconv.Itoa(freeport.Find(t)),
				"PATH="+folder+string(os.PathListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "until": until},
	})
}

// exits CODE COMMAND... runs a command that must end with the code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until PATTERN COMMAND... runs a command until it ends well and its standard output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if out := ts.ReadFile("stdout"); err == nil && want.MatchString(out) {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("not within 60 s; last: %v, %s", err, out)
		}
	}
}
