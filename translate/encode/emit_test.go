package encode

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	sigs "sigs.k8s.io/yaml"
)

// What is written is read as what it was, by the parser of YAML 1.2 and by Kubernetes' own,
// whatever the strings look like.
func roundTrip(t *testing.T, m map[string]any) {
	t.Helper()
	var e emitter
	if err := e.document(m); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var plain, back any
	if err := json.Unmarshal(want, &plain); err != nil {
		t.Fatal(err)
	}
	var v3 map[string]any
	if err := yaml.Unmarshal(e.out, &v3); err != nil {
		t.Fatalf("yaml.v3: %v\n%s", err, e.out)
	}
	got, err := json.Marshal(v3)
	if err == nil {
		err = json.Unmarshal(got, &back)
	}
	if err != nil || !reflect.DeepEqual(back, plain) {
		t.Fatalf("yaml.v3 reads %s, want %s: %v\n%s", got, want, err, e.out)
	}
	var k8s any
	if err := sigs.Unmarshal(e.out, &k8s); err != nil {
		t.Fatalf("Kubernetes' parser: %v\n%s", err, e.out)
	}
	if !reflect.DeepEqual(k8s, plain) {
		t.Fatalf("Kubernetes' parser reads %v, want %v\n%s", k8s, plain, e.out)
	}
}

var difficult = []string{
	"", " ", "a", "a ", " a", "yes", "No", "ON", "y", "null", "Null", "~", "true", "1", "1.0", "0x1f", "0o7", "1e3",
	".5", ".inf", "-", "- a", "a: b", "a:", ":", "a #b", "#", "&a", "*a", "!t", "|", ">", "%", "@a",
	"`", "{", "}", "[", "]", ",", "?", "'", "\"", "\\", "a\nb", "a\nb\n", "a\nb\n\n", "\na", "a\n\nb\n", "a\n  b\n c",
	" a\nb", "a \nb", "a\t\nb", "\ta\nb", "a\n \nb", "a\n\tb\n", "\n", "\n\n", "---", "---\na", "a\n---\nb", "...",
	"2001-01-01",
	"12:30:45", "Привет, мир", "line one\nстрока два\n", "\u0000", "\u007f", "\u0085", "\u2028", "\ufeff", "😀",
	"a\r\nb", "ko://github.com/a/b", "arn:minio:sqs::UNIP:webhook", "<<", "=", "e5", "a:b", "a::", "/a", "//",
	strings.Repeat("x", 300), strings.Repeat("long ", 100),
	"def f():\n    return 1\n\n\nx = '''\n  a\n'''\n", "1m", "1G", "1Gi", "0m", "1E", "1Ei", "1e", "12", "--", "---a",
	"--a", "--1", "--a=b", "--a: b", "-- a", "# comment\nkey: value\n", "%TAG\nb\n", "\ufffd", "\ufffe\na",
}

func TestEmitDifficultStrings(t *testing.T) {
	t.Parallel()
	for _, s := range difficult {
		roundTrip(t, map[string]any{"key": s, "list": []any{s, map[string]any{"in": s, "z": int64(1)},
			[]any{s, []any{}}}, "deep": map[string]any{"a": map[string]any{"b": s}}})
		roundTrip(t, map[string]any{s: "value", "a": map[string]any{s: map[string]any{s: nil}}})
	}
	roundTrip(t, map[string]any{"a": nil, "b": true, "c": int64(-5), "d": 1.5, "e": 1e21, "f": map[string]any{},
		"g": []any{}, "h": []any{map[string]any{}, nil, []any{[]any{"x"}}}})
}

// Random compositions of what is difficult.
func TestEmitProperty(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) // no secret
	for range 3000 {
		var b strings.Builder
		for range r.IntN(5) {
			b.WriteString(difficult[r.IntN(len(difficult))])
		}
		roundTrip(t, map[string]any{"a": []any{map[string]any{"k": b.String()}}, "b": b.String()})
	}
}

func FuzzEmit(f *testing.F) {
	for _, s := range difficult {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		roundTrip(t, map[string]any{"key": s, "list": []any{s, map[string]any{"in": s}}})
	})
}
