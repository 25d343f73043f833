//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

// The pipeline of examples/digits trains, and trains anew on another table, while calls go on: none
// fails, and the component answers with the newer model without a new pod.
func TestRetrainedWhileCallsGoOn(t *testing.T) {
	t.Parallel()
	const password = "change-me"
	m := cleared(t, "pu-ann-pa-digits")
	if err := m.Apply(t.Context(), "examples/digits/manifests"); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	image, err := json.Marshal(digitImage(rand.New(rand.NewPCG(9, 9)), 3))
	if err != nil {
		t.Fatal(err)
	}
	// call wants an answer and says which model it is of.
	call := func(ctx ctx) (etag string, err error) {
		a, err := m.Predict(ctx, "digits", user, password, live.Variable{Name: "image", Datatype: "FP32", Data: image})
		switch {
		case err != nil:
			return "", err
		case a.Status != http.StatusOK:
			return "", fmt.Errorf("predict answered %d: %s", a.Status, a.Body)
		}
		return a.Header.Get("Unip-Model-Etag"), nil
	}
	train := func(seed uint64) {
		name := fmt.Sprintf("userdata/incoming/%d.csv", seed)
		if err := m.Upload(t.Context(), user, password, name, digitTable(seed)); err != nil {
			t.Fatal(err)
		}
	}
	train(1)
	first := ""
	if err := live.Await(t.Context(), 8*time.Minute, "the first model", func(ctx ctx) (err error) {
		first, err = call(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	train(2)
	calls, longest, newest := 0, time.Duration(0), first
	for end := time.Now().Add(8 * time.Minute); newest == first; calls++ {
		if time.Now().After(end) {
			t.Fatalf("after %d calls the first model still answers", calls)
		}
		start := time.Now()
		if newest, err = call(t.Context()); err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		longest = max(longest, time.Since(start))
	}
	t.Logf("%d calls until the second model answered, the longest took %s", calls, longest.Round(time.Millisecond))
	// the log of the pod that answers has both
	if err := live.Await(t.Context(), time.Minute, "the line of the change", func(ctx ctx) error {
		log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "-l", "app.kubernetes.io/name=digits", "-c", "server",
			"--tail=-1")
		if err == nil && !strings.Contains(log, "a newer model is in service") {
			err = errors.New("it is not there")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// digitImage are 64 pixels that look the same for one digit, but for some noise.
func digitImage(random *rand.Rand, digit int) []int {
	shape := rand.New(rand.NewPCG(uint64(digit), 0))
	image := make([]int, 64)
	for i := range image {
		image[i] = min(16, shape.IntN(14)+random.IntN(4))
	}
	return image
}

// digitTable is a table that the pipeline learns from.
func digitTable(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for i := range 64 {
		fmt.Fprintf(&b, "pixel%d,", i)
	}
	b.WriteString("digit\n")
	for row := range 500 {
		digit := row % 10
		for _, v := range digitImage(random, digit) {
			fmt.Fprintf(&b, "%d,", v)
		}
		fmt.Fprintf(&b, "%d\n", digit)
	}
	return []byte(b.String())
}
