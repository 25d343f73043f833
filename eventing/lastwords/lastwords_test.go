package lastwords

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const traceback = "Traceback (most recent call last):\n" +
	"  File \"/app/train.py\", line 7, in <module>\n    main()\n    ~~~~^^\n" +
	"  File \"/app/train.py\", line 3, in main\n    raise ValueError(\"no rows\")\n"

func TestLastWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ log, want string }{
		"nothing":        {"", ""},
		"blank lines":    {"\n \n\t\n", ""},
		"the last line":  {"reading\nno rows in the table\n\n", "no rows in the table"},
		"without an end": {"reading\nlast words", "last words"},
		"a progress bar": {"\r 1%\r 50%\r 99%", "99%"},
		"an exception":   {"reading\n" + traceback + "ValueError: no rows\n", "ValueError: no rows"},
		"a print behind it": {traceback + "ValueError: no rows\nreading\ntraining, epoch 1 of 3: loss 0.71\n",
			"ValueError: no rows"},
		"prints within it": {strings.ReplaceAll(traceback, "\n", "\nrow: 7\n") + "row\nValueError: no rows\nrow\n",
			"ValueError: no rows"},
		"of a module": {traceback + "torch.OutOfMemoryError: CUDA out of memory\n",
			"torch.OutOfMemoryError: CUDA out of memory"},
		"in small letters": {traceback + "struct.error: 4 bytes\nread\n", "struct.error: 4 bytes"},
		"without words":    {traceback + "AssertionError\nread\n", "AssertionError"},
		"of a name of one's own": {traceback + "__main__.TooFew: only 3 rows\nread 3\n",
			"__main__.TooFew: only 3 rows"},
		"print like a name": {traceback + "Epoch: 3\nValueError: no rows\nEpoch: 4\n", "ValueError: no rows"},
		"of several lines": {traceback + "pydantic.ValidationError: 2 errors for Row\nprice\n  Field required\n",
			"pydantic.ValidationError: 2 errors for Row"},
		"the last of two": {traceback + "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n" +
			traceback + "ValueError: no rows\n", "ValueError: no rows"},
		"of a wrong program": {"  File \"/app/train.py\", line 1\n    print(\n         ^\nSyntaxError: '(' was never closed\nstarted\n",
			"SyntaxError: '(' was never closed"},
		"of a group": {"  + Exception Group Traceback (most recent call last):\n  |   File \"t.py\", line 1, in <module>\n" +
			"  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: 1\n",
			"ExceptionGroup: two (2 sub-exceptions)"},
		"one that was ignored": {traceback + "ValueError: no rows\nException ignored in: <function X.__del__ at 0x7f>\n" +
			traceback + "AttributeError: closed\n", "ValueError: no rows"},
		"one of one's own, and one that was ignored": {traceback + "TooFew\nException ignored in: <function X.__del__>\n" +
			traceback + "AttributeError: closed\n", "TooFew"},
		"only one that was ignored": {"Exception ignored in: <function X.__del__>\n" + traceback +
			"AttributeError: closed\nno rows\n", "no rows"},
		"a crash": {"Fatal Python error: Segmentation fault\n\nCurrent thread 0x0 (most recent call first):\n" +
			"  File \"t.py\", line 3 in <module>\nread\n", "Fatal Python error: Segmentation fault"},
		"a name, and no traceback": {"ValueError: no rows, going on\nread\n", "read"},
		"half a traceback":         {traceback, `raise ValueError("no rows")`},
	} {
		if got := Of(c.log); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The two streams of a container have no common order in its log: wherever the lines of a real
// Python's traceback come to stand among what it printed, the exception is the reason.
func TestTheExceptionIsFoundInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, end := range []string{`\n`, `\r`} {
		cmd := exec.CommandContext(t.Context(), "python3", filepath.Join("testdata", "chatty.py"), "300",
			end)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err == nil {
			t.Fatal("it has not failed")
		}
		printed, said := lines(&stdout), lines(&stderr)
		for seed := range uint64(300) {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a seed makes the same order again
			at := make([]int, len(said))
			for i := range at {
				at[i] = random.IntN(len(printed) + 1)
			}
			slices.Sort(at)
			var log strings.Builder
			for i, next := 0, 0; i <= len(printed); i++ {
				for ; next < len(at) && at[next] == i; next++ {
					log.WriteString(said[next])
				}
				if i < len(printed) {
					log.WriteString(printed[i])
				}
			}
			if got := Of(log.String()); got != "KeyError: 'price'" {
				t.Fatalf("seed %d: %q of\n%s", seed, got, log.String())
			}
		}
	}
}

func lines(b *bytes.Buffer) []string {
	return slices.DeleteFunc(strings.SplitAfter(b.String(), "\n"), func(s string) bool { return s == "" })
}
