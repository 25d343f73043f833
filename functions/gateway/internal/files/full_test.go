//go:build integration

package files_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
)

// A full box gives no link to write, unless the box gets no fuller by it; to read and to delete it
// goes on.
func TestAFullBox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "ann", "userdata/g/old", "0123456789")
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, databox.Usage{Capacity: 100, Used: 90}); err != nil {
		t.Fatal(err)
	}
	full := newWorldLike(w)
	for path, want := range map[string]int{
		"userdata/g/new?size=10": 201, "userdata/g/new?size=11": 507, "userdata/g/new": 201,
		"userdata/g/old?size=20&overwrite=true": 200, "userdata/g/old?size=21&overwrite=true": 507,
	} {
		if code, body, _ := full.call(t, http.MethodPut, "ann", path); code != want {
			t.Errorf("PUT %s at 90 of 100 bytes: %d %v, want %d", path, code, body, want)
		}
	}
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, databox.Usage{Capacity: 100, Used: 120}); err != nil {
		t.Fatal(err)
	}
	full = newWorldLike(w)
	for path, want := range map[string]int{
		"userdata/g/new": 507, "userdata/g/new?size=0": 507, "userdata/g/old?size=10&overwrite=true": 200,
		"userdata/g/old?overwrite=true": 507, "userdata/g/old?size=11&overwrite=true": 507,
	} {
		code, body, _ := full.call(t, http.MethodPut, "ann", path)
		if code != want {
			t.Errorf("PUT %s at 120 of 100 bytes: %d %v, want %d", path, code, body, want)
		}
		if code == 507 && !strings.HasSuffix(body["type"].(string), "/box-full") {
			t.Errorf("PUT %s: %v", path, body)
		}
	}
	if code, body, _ := full.call(t, http.MethodGet, "ann", "userdata/g/old"); code != 200 ||
		body["presigned_put_url"] != nil || body["presigned_get_url"] == nil {
		t.Errorf("GET in a full box: %d %v", code, body)
	}
	if code, _, _ := full.call(t, http.MethodDelete, "ann", "userdata/g/old"); code != 204 {
		t.Errorf("DELETE in a full box: %d", code)
	}
}

// Links with a size fit one by one, but live on: a user who gathers them while there is room cannot
// fill the box far beyond its capacity with them later.
func TestLinksWithASizeAreBoundedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Links = &files.Links{Most: 2}
	w.put(t, "ann", "userdata/g/old", "0123456789")
	usage := databox.Usage{Capacity: 100, Used: 60}
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, usage); err != nil {
		t.Fatal(err)
	}
	w = newWorldLike(w)
	put := func(user, path string, want int) {
		t.Helper()
		code, body, header := w.call(t, http.MethodPut, user, path)
		if code != want || code == 429 && header.Get("Retry-After") == "" {
			t.Errorf("%s: PUT %s: %d %v, want %d", user, path, code, body, want)
		}
	}
	for i := range 25 {
		put("ann", fmt.Sprintf("userdata/g/new%d?size=40", i), 201)
	}
	put("ann", "userdata/g/more?size=40", 429)
	put("ann", "userdata/g/more?size=1", 429)
	put("ann", "userdata/g/old?size=10&overwrite=true", 200) // the box does not grow
	put("ann", "userdata/g/more?size=0", 201)
	put("ann", "userdata/g/more", 201)
	put("bob", "userdata/g/more?size=40", 201)
}

// Links of unknown size are counted for each user; those with a size are not.
func TestLinksOfUnknownSizeAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Links = &files.Links{Most: 2}
	for i, want := range []int{201, 201, 429} {
		if code, body, header := w.call(t, http.MethodPut, "ann", "userdata/g/f"); code != want || code == 429 &&
			header.Get("Retry-After") == "" {
			t.Errorf("link %d: %d %v, want %d", i, code, body, want)
		}
	}
	if code, _, _ := w.call(t, http.MethodPut, "ann", "userdata/g/f?size=3"); code != 201 {
		t.Errorf("a link with a size: %d", code)
	}
	if code, _, _ := w.call(t, http.MethodPut, "bob", "userdata/g/f"); code != 201 {
		t.Errorf("another user's link: %d", code)
	}
	w.s3.Put(t, w.bucket, databox.UserPrefix("ann")+"g/there", "x")
	w.s3.Put(t, w.bucket, databox.UserPrefix("eve")+"g/there", "x")
	for _, user := range []string{"ann", "eve"} { // ann has no link of PUT left; links of GET are counted apart
		for i := range 3 {
			code, body, _ := w.call(t, http.MethodGet, user, "userdata/g/there")
			if code != 200 || (body["presigned_put_url"] != nil) != (i < 2) {
				t.Errorf("GET %d of %s: %d %v", i, user, code, body)
			}
		}
	}
	if code, _, _ := w.call(t, http.MethodPut, "eve", "userdata/g/f"); code != 201 {
		t.Errorf("PUT after many GETs: %d", code)
	}
}
