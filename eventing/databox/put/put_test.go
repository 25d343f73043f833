package put_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox/put"
)

func ask(t *testing.T, key string) put.Asked {
	t.Helper()
	a, err := put.Ask(key, 3, false)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// An answer is read by who has asked, and by nobody else.
func TestSealed(t *testing.T) {
	t.Parallel()
	const link = "https://s3.example/box/models/m?X-Amz-Signature=secret"
	ann, boris := ask(t, "models/m"), ask(t, "models/m")
	if ann.Name == boris.Name || ann.ID() == boris.ID() {
		t.Fatal("two requests are one")
	}
	r, err := put.Parse(ann.ID(), ann.Value)
	if err != nil || r.Key != "models/m" || r.Size != 3 || r.Overwrite {
		t.Fatalf("%+v, %v", r, err)
	}
	sealed, err := r.Seal(link)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the answer can be read by everybody")
	}
	if got, err := ann.Open(sealed); got != link || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := boris.Open(sealed); err == nil {
		t.Errorf("somebody else has opened it: %q", got)
	}
	if _, err := ann.Open(sealed[1:]); err == nil {
		t.Error("half an answer")
	}
}

// A request is taken as it was made, and for one object of the developer's area.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"":                         "empty",
		"users/ann/file_groups/m":  "users/ is where users' files are",
		"users":                    "users/ is where users' files are",
		"users/":                   "users/ is where users' files are",
		"models/":                  "is a folder",
		"a/../users/ann":           "segment",
		"/models/m":                "segment",
		"models/*":                 "rename it",
		"models/${aws:username}/m": "rename it",
		"models/m\n":               "control character",
	} {
		if _, err := put.Ask(key, 1, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, size := range []int64{-1, put.MaxSize + 1} {
		if _, err := put.Ask("m", size, false); err == nil {
			t.Errorf("%d bytes are taken", size)
		}
	}
	a := ask(t, "models/m")
	other := strings.Replace(a.Value, "models/m", "models/n", 1)
	for name, c := range map[string][2]string{
		"another key":    {a.ID(), other},
		"another's name": {ask(t, "models/m").ID(), a.Value},
		"no JSON":        {a.ID(), "models/m"},
		"no public key":  {a.ID(), `{"key":"models/m","size":3}`},
		"a long one":     {a.ID(), a.Value + strings.Repeat(" ", 5000)},
	} {
		if r, err := put.Parse(c[0], c[1]); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
