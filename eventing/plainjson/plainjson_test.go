package plainjson_test

import (
	"encoding/json"
	"testing"

	"github.com/unip-knative/unip/eventing/plainjson"
)

// What is written is what a mouse takes, and it is JSON.
func TestAsPeopleReadIt(t *testing.T) {
	t.Parallel()
	v := map[string]string{"link": "http://s3/b?a=1&b=<2>", "name": "отчёт"}
	want := map[string]string{
		"":   `{"link":"http://s3/b?a=1&b=<2>","name":"отчёт"}`,
		"  ": "{\n  \"link\": \"http://s3/b?a=1&b=<2>\",\n  \"name\": \"отчёт\"\n}",
	}
	for indent, want := range want {
		b, err := plainjson.MarshalIndent(v, indent)
		if err != nil || string(b) != want {
			t.Errorf("%s, %v; want %s", b, err, want)
		}
		var back map[string]string
		if err := json.Unmarshal(b, &back); err != nil || back["link"] != v["link"] {
			t.Errorf("read back: %v, %v", back, err)
		}
	}
	if b, err := plainjson.Marshal(v); err != nil || string(b) != want[""] {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := plainjson.Marshal(func() {}); err == nil {
		t.Error("a function is no JSON")
	}
}
