// Package work is the module that chaos is made around: its manifests, and what each of its
// pipelines must leave of a given input. What a stage writes is a function of its input alone, so
// that whoever reads it afterwards knows every byte that must be there.
package work

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/unip-knative/unip/e2e/chaos/judge"
)

// Words of the module.
const (
	Box            = "userdata"
	User, Password = "ann", "s3same"
	image          = "registry.localhost:5000/e2e/echo:v1"
	prefix         = "knative.unified-platform.cs.hse.ru/"
	// handed is the folder that the first of two pipelines writes into and the second is started by.
	handed = "handed/"
)

// Pipelines of the module. All read the variable table and write result.
const (
	Diamond = "diamond" // four stages
	First   = "first"   // ten files, of which each .part starts Second
	Second  = "second"
	Shaky   = "shaky"  // its first attempt fails and leaves half a file
	Broken  = "broken" // fails for good
	Turns   = "turns"  // at most Limit runs at once
	Slow    = "slow"   // long enough to be cancelled
)

// Limit of Turns.
const Limit = 2

// Parts is how many runs of Second one of First starts.
const Parts = 2

// stages is a pipeline: its variables besides table and result, its annotations, its stages.
type pipeline struct {
	name, vars, annotations string
	stages                  []stage
}

type stage struct{ name, inputs, outputs, script, more string }

var pipelines = []pipeline{
	{Diamond, "prepared left right", onUpload("incoming/", ".csv", ""), []stage{
		{"prepare", "table", "prepared",
			`tr a-z A-Z < "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_PREPARED/upper"`, again},
		{"left", "prepared", "left", `tac "$UNIP_PIPELINE_PREPARED/upper" > "$UNIP_PIPELINE_LEFT/tac"`, again},
		{"right", "prepared", "right",
			`LC_ALL=C sort "$UNIP_PIPELINE_PREPARED/upper" > "$UNIP_PIPELINE_RIGHT/sorted"`, again},
		{"join", "left right", "result",
			`cd "$UNIP_PIPELINE_RESULT"; cat "$UNIP_PIPELINE_LEFT/tac" "$UNIP_PIPELINE_RIGHT/sorted" > joined; sha256sum < joined | cut -c1-64 > sum`, again},
	}},
	{First, "", onUpload("chain/", ".csv", handed), []stage{{"split", "table", "result",
		`t=$UNIP_PIPELINE_TABLE; n=$(basename "$t" .csv); cd "$UNIP_PIPELINE_RESULT"
head -n 5 "$t" > "$n-1.part"; tail -n +6 "$t" > "$n-2.part"
for i in 1 2 3 4 5 6 7 8; do cp "$t" "$n-$i.copy"; done`, ""}}},
	{Second, "", onUpload(handed, ".part", ""), []stage{{"sum", "table", "result",
		`sha256sum < "$UNIP_PIPELINE_TABLE" | cut -c1-64 > "$UNIP_PIPELINE_RESULT/sum"`, ""}}},
	// The name of an attempt's pod holds its number.
	{Shaky, "", onUpload("shaky-in/", ".csv", ""), []stage{{"fit", "table", "result",
		`case $(cat /etc/hostname) in *-1-?????) head -c 10 "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_RESULT/part"; exit 1;; esac
cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/model"`, "retries: 2"}}},
	{Broken, "", "", []stage{{"fit", "table", "result",
		`echo half > "$UNIP_PIPELINE_RESULT/part"; echo "as it must" >&2; exit 3`, ""}}},
	{Turns, "", prefix + fmt.Sprintf("max-parallel-runs: %q, ", fmt.Sprint(Limit)) + onUpload("turns-in/", ".csv", ""),
		[]stage{{"work", "table", "result",
			`sleep 2; tac "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_RESULT/tac"`, ""}}},
	{Slow, "", "", []stage{{"wait", "table", "result",
		`trap 'exit 1' TERM; sleep 45 & wait; echo late > "$UNIP_PIPELINE_RESULT/late"`, again}}},
}

// again is a further attempt. Whoever kills a process of the user's container cannot be told from a
// program that fails: such a stage needs one.
const again = "retries: 1"

// MayFail reports that one failure of its own does not end a run of the pipeline in another way.
func MayFail(pipeline string) bool {
	return pipeline == Diamond || pipeline == Shaky || pipeline == Broken || pipeline == Slow
}

func onUpload(folder, suffix, to string) string {
	type rule struct {
		Box     string            `json:"box"`
		Prefix  string            `json:"prefix"`
		Suffix  string            `json:"suffix"`
		Input   string            `json:"input"`
		Outputs map[string]string `json:"outputs,omitempty"`
	}
	r := rule{Box: Box, Prefix: folder, Suffix: suffix, Input: "table"}
	if to != "" {
		r.Outputs = map[string]string{"result": Box + "/" + to}
	}
	b, _ := json.Marshal([]rule{r}) // texts always encode
	return prefix + "on-upload: '" + string(b) + "'"
}

// Manifests of the module in a namespace. Note is a text in one of them, so that they can be applied
// anew with a change that changes nothing.
func Manifests(namespace, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: %[2]s, namespace: %[1]s}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: %[1]s}
stringData: {%[3]s: %[4]s}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: %[1]s}
spec: {published: true, files: {}, restfulApi: {auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: runs-api, namespace: %[1]s}
spec: {published: true, pipelines: {}, restfulApi: {auth: {basic: {credentials: users}}}}
`, namespace, Box, User, Password)
	for _, p := range pipelines {
		b.WriteString(p.manifest(namespace, note))
	}
	return b.String()
}

func (p pipeline) manifest(namespace, note string) string {
	list := func(names string) string {
		var all []string
		for _, v := range strings.Fields(names) {
			all = append(all, "{name: "+v+"}")
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	var stages strings.Builder
	for _, s := range p.stages {
		command, _ := json.Marshal([]string{"sh", "-ec", s.script}) // texts always encode
		fmt.Fprintf(&stages, "    - name: %s\n      image: {existingImageName: %s}\n      command: %s\n"+
			"      env: [{name: NOTE, value: %q}]\n      inputs: %s\n      outputs: %s\n",
			s.name, image, command, note, list(s.inputs), list(s.outputs))
		if s.more != "" {
			fmt.Fprintf(&stages, "      %s\n", s.more)
		}
	}
	return fmt.Sprintf(`---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: %[1]s
  namespace: %[2]s
  annotations: {%[3]s}
spec:
  vars: %[4]s
  stages:
%[5]s---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: %[1]s-api, namespace: %[2]s}
spec:
  published: true
  experimentPipeline: {name: %[1]s}
  restfulApi: {path: %[1]s, auth: {basic: {credentials: users}}}
  apiSpec: {inputs: [{name: table}], outputs: [{name: result}]}
`, p.name, namespace, p.annotations, list("table "+p.vars+" result"), stages.String())
}

// Folder is where an upload starts a run of a pipeline; empty for those that only calls start.
func Folder(pipeline string) string {
	return map[string]string{Diamond: "incoming/", First: "chain/", Shaky: "shaky-in/", Turns: "turns-in/"}[pipeline]
}

// Content of a file: some lines of small letters, made of the seed and the file's name.
func Content(seed uint64, name string, lines int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, name))
	r := rand.New(rand.NewChaCha8(sum))
	var b bytes.Buffer
	for range max(lines, 6) {
		for range 8 + r.IntN(60) {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Want is what a run of a pipeline must come to with a file of that name and content.
func Want(pipeline, name string, content []byte) judge.Want {
	w := judge.Want{Pipeline: pipeline, State: judge.Succeeded, Files: map[string]string{}}
	leaves := func(file string, b []byte) { w.Files["result/"+file] = Sum(b) }
	switch pipeline {
	case Diamond:
		upper := bytes.ToUpper(content)
		joined := append(tac(upper), sorted(upper)...)
		leaves("joined", joined)
		leaves("sum", []byte(Sum(joined)+"\n"))
	case First:
		w.Place = map[string]string{"result": Box + "/" + handed}
		w.Starts = map[string]judge.Want{}
		base := strings.TrimSuffix(path.Base(name), ".csv")
		all := lines(content)
		for i, part := range [Parts][][]byte{all[:5], all[5:]} {
			file, b := fmt.Sprintf("%s-%d.part", base, i+1), bytes.Join(part, nil)
			leaves(file, b)
			w.Starts["result/"+file] = Want(Second, file, b)
		}
		for i := range 8 {
			leaves(fmt.Sprintf("%s-%d.copy", base, i+1), content)
		}
	case Second:
		leaves("sum", []byte(Sum(content)+"\n"))
	case Shaky:
		leaves("model", content)
	case Turns:
		leaves("tac", tac(content))
	case Broken:
		w.State, w.Files = judge.Failed, nil
	case Slow:
		w.State = judge.Cancelled
		leaves("late", []byte("late\n"))
	}
	return w
}

// Sum is the SHA-256 of some bytes.
func Sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func lines(b []byte) [][]byte { return slices.Collect(bytes.Lines(b)) }

func tac(b []byte) []byte {
	all := lines(b)
	slices.Reverse(all)
	return bytes.Join(all, nil)
}

func sorted(b []byte) []byte {
	all := lines(b)
	slices.SortFunc(all, bytes.Compare)
	return bytes.Join(all, nil)
}
