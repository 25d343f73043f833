package installation_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/translate/installation"
)

// settings are the rows of the table of unip.yaml in docs/operating.md, by key: type and default.
func settings(t *testing.T) map[string][2]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## unip.yaml\n")
	section, _, _ = strings.Cut(section, "\n## ")
	all := map[string][2]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| `+"`([^`]+)`"+` \| (.+?) \| (.+?) \| .+ \|$`).
		FindAllStringSubmatch(section, -1) {
		all[m[1]] = [2]string{m[2], m[3]}
	}
	return all
}

// code is what stands in code spans of a text.
func code(text string) (spans []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		spans = append(spans, m[1])
	}
	return spans
}

// The table has every key, and for each the type and the default that it has.
func TestOperatingNamesEveryKey(t *testing.T) {
	t.Parallel()
	want := map[string][2]string{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			key, f := prefix+v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
			values := []string{fmt.Sprint(f.Interface())}
			kind := "text"
			switch f.Kind() {
			case reflect.Struct:
				walk(key+".", f)
				continue
			case reflect.Bool:
				kind = "true or false"
			case reflect.Int, reflect.Float64:
				kind = "number"
			case reflect.Slice:
				kind, values = "list of texts", f.Interface().([]string)
			case reflect.Map:
				kind, values = "map of quantities", nil
				m := f.Interface().(map[string]string)
				for _, k := range slices.Sorted(maps.Keys(m)) {
					values = append(values, k+": "+m[k])
				}
			}
			usual := "`" + strings.Join(values, "`, `") + "`"
			if usual == "``" {
				usual = "none"
			}
			want[key] = [2]string{kind, usual}
		}
	}
	walk("", reflect.ValueOf(installation.Default()))
	got := settings(t)
	for key, row := range got {
		// Bounds are of numbers; words to choose from, and quantities, are texts.
		kind, _, _ := strings.Cut(row[0], ",")
		if len(code(kind)) > 0 || kind == "quantity" {
			kind = "text"
		}
		got[key] = [2]string{kind, row[1]}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/operating.md (-want +got)\n%s", d)
	}
}

// The bounds and the words that the table names are those that hold.
func TestOperatingNamesWhatIsTaken(t *testing.T) {
	t.Parallel()
	parse := func(key, value string) error {
		_, err := installation.Parse([]byte(strings.ReplaceAll(key, ".", ": {") + ": " + value +
			strings.Repeat("}", strings.Count(key, "."))))
		return err
	}
	takes := func(key, value string, want bool) {
		t.Helper()
		if err := parse(key, value); (err == nil) != want {
			t.Errorf("%s: %s: %v", key, value, err)
		}
	}
	bounds := regexp.MustCompile(`^number, (\d+) to (\d+)$`)
	checked := 0
	for key, row := range settings(t) {
		if m := bounds.FindStringSubmatch(row[0]); m != nil {
			least, _ := strconv.Atoi(m[1])
			most, _ := strconv.Atoi(m[2])
			takes(key, m[1], true)
			takes(key, m[2], true)
			takes(key, strconv.Itoa(least-1), false)
			takes(key, strconv.Itoa(most+1), false)
			checked++
		}
		for _, word := range code(row[0]) {
			takes(key, word, true)
			takes(key, word+"x", false)
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("%d rows have bounds or words", checked)
	}
}

// The unip.yaml that an operator copies can be read.
func TestOperatingShowsSettings(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(b), "\n  unip.yaml: |\n")
	shown, _, _ = strings.Cut(shown, "```")
	c, err := installation.Parse([]byte(shown))
	if err != nil || c.OIDC.Issuer == "" {
		t.Errorf("%v: %q", err, shown)
	}
}
