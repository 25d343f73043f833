package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/script"
)

// folder holds the program unip, which is built once.
var folder string

func TestMain(m *testing.M) {
	engine.Guard()
	engine.Enter()
	os.Exit(func() int {
		if filepath.Base(os.Args[0]) != "unip-dev" { // it is the test itself
			if signal.Ignored(syscall.SIGHUP) { // under nohup: so would what it starts, to which a test sends this
				signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
			}
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": script.Exits, "until": script.Until},
	})
}
