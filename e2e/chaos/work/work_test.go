package work_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/e2e/chaos/work"
)

// What is wanted of a pipeline is what its scripts write, run one after the other as they stand.
func TestScriptsWriteWhatIsWanted(t *testing.T) {
	t.Parallel()
	const name = "c-07.csv"
	content := work.Content(7, name, 40)
	for _, pipeline := range []string{work.Diamond, work.First, work.Second, work.Turns} {
		dir := t.TempDir()
		table := filepath.Join(dir, name)
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
		env := []string{"PATH=" + os.Getenv("PATH"), "UNIP_PIPELINE_TABLE=" + table}
		for _, v := range []string{"prepared", "left", "right", "result"} {
			if err := os.Mkdir(filepath.Join(dir, v), 0o700); err != nil {
				t.Fatal(err)
			}
			env = append(env, "UNIP_PIPELINE_"+strings.ToUpper(v)+"="+filepath.Join(dir, v))
		}
		for _, command := range commands(t, pipeline) {
			c := exec.CommandContext(t.Context(), command[0], command[1:]...)
			c.Env = env
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", pipeline, err, out)
			}
		}
		got := map[string]string{}
		root := os.DirFS(dir)
		err := fs.WalkDir(root, "result", func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var b []byte
				b, err = fs.ReadFile(root, p)
				got[p] = work.Sum(b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(work.Want(pipeline, name, content).Files, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", pipeline, d)
		}
	}
}

// commands are those of a pipeline's stages, as its manifest has them.
func commands(t *testing.T, pipeline string) [][]string {
	t.Helper()
	for doc := range strings.SplitSeq(work.Manifests("ns", "note"), "---\n") {
		var m struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct{ Stages []struct{ Command []string } }
		}
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if m.Kind != "ExperimentPipeline" || m.Metadata.Name != pipeline {
			continue
		}
		var all [][]string
		for _, s := range m.Spec.Stages {
			all = append(all, s.Command)
		}
		return all
	}
	t.Fatalf("no pipeline %s", pipeline)
	return nil
}
