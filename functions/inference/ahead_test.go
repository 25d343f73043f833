package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const mortal = `
import os
def f(inputs):
    what, nonce = inputs[0]["data"], inputs[1]["data"]
    with open("ran", "a") as ran: ran.write(nonce + "\n")
    if what == "exit": os._exit(3)
    return [{"name": "nonce", "data": nonce}]
`

// The only worker has calls in its socket when it dies: the call that it ran fails, and each of the
// others is run once, and answered.
func TestDeathsOfTheOnlyWorker(t *testing.T) {
	t.Parallel()
	const callers, calls, mortality = 16, 20, 40
	c := start(t, mortal, "f").awaitReady()
	var all sync.WaitGroup
	var want []string
	for caller := range callers {
		for call := range calls {
			want = append(want, fmt.Sprintf("%d-%d", caller, call))
		}
		all.Go(func() {
			for call := range calls {
				what, status, nonce := "nothing", 200, fmt.Sprintf("%d-%d", caller, call)
				if (caller*calls+call)%mortality == mortality/2 {
					what, status = "exit", 502
				}
				a, err := c.post(t.Context(),
					`{"inputs":[{"name":"what","data":"`+what+`"},{"name":"nonce","data":"`+nonce+`"}]}`)
				if err != nil || a.status != status || status == 200 &&
					(len(a.Outputs) != 1 || a.Outputs[0].Data != nonce) {
					t.Errorf("%s %s: %d %s, error %v", what, nonce, a.status, a.body, err)
				}
			}
		})
	}
	all.Wait()
	ran, err := os.ReadFile(filepath.Join(c.worker.Dir, "ran"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(ran))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the function ran %d times, want %d, each call once", len(got), len(want))
	}
}
