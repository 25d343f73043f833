package events_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/events"
)

// Names of files and users are anybody's: the event of a file either cannot be made, or reads the
// same on the other side of HTTP. Different files have different ids.
func FuzzObject(f *testing.F) {
	for _, s := range [][2]string{
		{"ann", "in/a.csv"}, {"", "models/m"}, {"Аня", "in/ж 1%20.csv"}, {"oidc:ann", "a;b&c=d\"e"}, {"a b", "in/ a "},
		{"\u00a0", "a\u2028b"}, {"a\x7f", "x"}, {"a\nb", "c\r\nce-user: bob"},
		{"\xff", "\xfe"}, {"%", "%zz"}, {"a", strings.Repeat("a", 1024)}, {"a", "~!#$'()*+,/:=?@[]\\^`{|}"},
		{"🙂", "\ufeff"}, {" ann", "ann "},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, user, p string) {
		if p == "" {
			return
		}
		o := events.Object{Namespace: "pu-ann", Box: "data", User: user, Path: p, Bucket: "b", Key: "users/x/" + p,
			ETag: "e", Size: 1, Time: time.Unix(1_800_000_000, 0)}
		e, err := o.Event()
		if err != nil {
			return
		}
		other := o
		other.Key, other.Version = o.Key[:len(o.Key)-1], o.Key[len(o.Key)-1:]+o.Version
		if x, err := other.Event(); err == nil && x.ID() == e.ID() {
			t.Errorf("two objects have the id %q", e.ID())
		}
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		if err := cehttp.WriteRequest(t.Context(), binding.ToMessage(&e), req); err != nil {
			t.Fatalf("%q of %q: %v", p, user, err)
		}
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatalf("%q of %q: %v", p, user, err)
		}
		if req, err = http.ReadRequest(bufio.NewReader(&wire)); err != nil {
			t.Fatalf("%q of %q: %v", p, user, err)
		}
		got, err := cehttp.NewEventFromHTTPRequest(req)
		if err != nil {
			t.Fatalf("%q of %q: %v", p, user, err)
		}
		gotUser, _ := got.Extensions()[events.User].(string)
		if d := cmp.Diff([]string{e.ID(), user, p, e.Source(), string(e.Data())},
			[]string{got.ID(), gotUser, got.Subject(), got.Source(), string(got.Data())}); d != "" {
			t.Errorf("(-sent +received)\n%s", d)
		}
	})
}
