package manifest_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/unip-knative/unip/translate/manifest"
)

// The rules in an annotation are JSON within YAML: what JSON refuses is refused here, with a place,
// and what is taken are as many rules as JSON has, with the same boxes.
func FuzzOnUpload(f *testing.F) {
	for _, s := range []string{
		`[{"box":"data","prefix":"in/","suffix":".csv","input":"f"}]`, `[]`, `{}`, `null`, `[null]`, `[{}]`, `[[]]`,
		`[{"box":1}]`, `[{"box":"a"},{"box":"b"}]`, `[{"box":"a"}] x`, `[{"box":"a","box":"b"}]`, `- box: a`,
		`[{box: a}]`, `[&a [*a]]`, `!!x []`, ``, " ", "\x00", `[{"box":"\ud800"}]`, `[{"unknown":1}]`,
		`["` + strings.Repeat("[", 500), `[{"inputs":{"a":"b:/c"}}]`,
	} {
		f.Add(s)
	}
	head := "apiVersion: unified-platform.cs.hse.ru/v1\nkind: ExperimentPipeline\nmetadata: {name: p, namespace: pu-ann, annotations: {" + manifest.OnUpload.Name + ": "
	f.Fuzz(func(t *testing.T, rules string) {
		quoted, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := strconv.Unquote(string(quoted)); err != nil || again != rules {
			return // YAML, as JSON, has no such text
		}
		m, found := manifest.Read([]manifest.File{{Name: "f",
			Data: []byte(head + string(quoted) + "}}\nspec: {stages: []}\n")}})
		var list []map[string]any
		isList := json.Unmarshal([]byte(rules), &list) == nil
		for _, d := range found {
			if d.File != "f" || d.Message == "" || d.Line < 0 { // 0 is the whole file
				t.Errorf("finding without place or message: %#v", d)
			}
		}
		for _, p := range m.Pipelines {
			if !isList && len(p.Uploads) > 0 {
				t.Errorf("%q is no JSON list, and has %d rules", rules, len(p.Uploads))
			}
			if len(found) == 0 && isList && len(p.Uploads) != len(list) {
				t.Errorf("%q: %d rules of %d", rules, len(p.Uploads), len(list))
			}
			for i, r := range p.Uploads {
				if box, ok := list[i]["box"].(string); len(found) == 0 && ok && r.Box.Value != box {
					t.Errorf("%q: rule %d has the box %q", rules, i, r.Box.Value)
				}
			}
		}
	})
}
