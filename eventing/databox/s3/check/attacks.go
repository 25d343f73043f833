package check

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// secret is what nobody may read who holds a link of ann's.
const secret = "what only its owner reads"

// through is an attack that got through.
func through(what string, a answer) error { return fmt.Errorf("%s gets through (%v)", what, a) }

// victims are keys that a link of ann's must not reach, with what lies there: another user's file, and
// the developer's.
func (x *suite) victims(ctx context.Context) ([]string, error) {
	keys := []string{x.userKey("bob", "g/victim"), x.key("models/victim")}
	for _, k := range keys {
		if err := x.put(ctx, x.bucket, k, secret); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// linkCopies uploads with headers that would make a copy of the upload.
func linkCopies(ctx context.Context, x *suite) error {
	victims, err := x.victims(ctx)
	if err != nil {
		return err
	}
	for i, v := range victims {
		source := "/" + x.bucket + "/" + encode(v)
		for j, header := range []map[string]string{
			{"x-amz-copy-source": source},
			{"x-amz-copy-source": source[1:]},
			{"x-amz-copy-source": source, "x-amz-copy-source-range": "bytes=0-5"},
			{"x-amz-copy-source": source, "x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "COPY"},
			nil, // in the query
		} {
			loot := x.userKey("ann", fmt.Sprintf("loot/%d-%d", i, j))
			link, err := x.writes(ctx, loot, nil)
			if err != nil {
				return err
			}
			if header == nil {
				link += "&x-amz-copy-source=" + encode(source)
			}
			a, err := x.send(ctx, request{method: http.MethodPut, url: link, header: header})
			if err != nil {
				return err
			}
			got, err := x.get(ctx, x.bucket, loot)
			if err != nil && !s3.IsMissing(err) {
				return err
			}
			if got != "" && strings.HasPrefix(secret, got) {
				return through("a copy of "+short(v)+" by x-amz-copy-source, which the link does not sign,", a)
			}
		}
	}
	return nil
}

// linkUnpacks uploads an archive that names other keys.
func linkUnpacks(ctx context.Context, x *suite) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	planted := []string{x.userKey("bob", "g/planted"), x.key("models/planted"), "../planted"}
	for _, name := range planted {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := w.Write([]byte("x")); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	for _, header := range []map[string]string{
		{"x-amz-meta-snowball-auto-extract": "true"},
		{"x-amz-meta-snowball-auto-extract": "true", "x-amz-meta-minio-snowball-prefix": "",
			"x-amz-meta-minio-snowball-ignore-errors": "true"},
		{"x-amz-snowball-auto-extract": "true"},
	} {
		link, err := x.writes(ctx, x.userKey("ann", "loot/archive.tar"), nil)
		if err != nil {
			return err
		}
		a, err := x.send(ctx, request{method: http.MethodPut, url: link, header: header, body: archive.String()})
		if err != nil {
			return err
		}
		found, err := x.found(ctx, "planted")
		if err != nil {
			return err
		}
		if found != "" {
			return through("an archive that wrote "+short(found), a)
		}
	}
	return nil
}

// found is a key among the suite's whose last segment is the name, "" when there is none.
func (x *suite) found(ctx context.Context, name string) (string, error) {
	for _, prefix := range []string{x.prefix, databox.UsersArea + x.name} {
		for o := range x.root.ListObjects(ctx, x.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if o.Err != nil {
				return "", o.Err
			}
			if strings.HasSuffix(o.Key, "/"+name) {
				return o.Key, nil
			}
		}
	}
	return "", nil
}

// elsewhere are other ways to write a path, which begin at a key and would lead to another one. Both
// have the same depth of folders.
func elsewhere(from, to string) []string {
	up := strings.Repeat("../", strings.Count(from, "/"))
	folder := from[:strings.LastIndex(from, "/")+1]
	return []string{
		encode(to),
		encode(from) + "/../" + up + encode(to),
		encode(folder) + up + encode(to),
		encode(folder) + strings.ReplaceAll(up, "..", "%2e%2e") + encode(to),
		encode(folder) + strings.ReplaceAll(up, "../", "..%2f") + encode(to),
		encode(folder) + strings.ReplaceAll(up, "../", "%2e%2e%2F") + encode(to),
		encode(folder) + strings.ReplaceAll(up, "../", "..%5c") + encode(to),
		encode(from) + "%00/" + up + encode(to),
		"/" + encode(to), "./" + encode(to),
	}
}

// replacePath is the link with another path below the bucket.
func (x *suite) replacePath(link, path string) string {
	_, query, _ := strings.Cut(link, "?")
	return x.Endpoint + "/" + x.bucket + "/" + path + "?" + query
}

// linkElsewhere sends an upload link's signature along other paths.
func linkElsewhere(ctx context.Context, x *suite) error {
	victims, err := x.victims(ctx)
	if err != nil {
		return err
	}
	loot := x.userKey("ann", "loot/elsewhere")
	link, err := x.writes(ctx, loot, nil)
	if err != nil {
		return err
	}
	for _, v := range victims {
		for _, path := range elsewhere(loot, v) {
			a, err := x.send(ctx, request{method: http.MethodPut, url: x.replacePath(link, path), body: "defaced"})
			if err != nil {
				return err
			}
			if err := x.holds(ctx, v, secret); err != nil {
				return through("a PUT along "+path, a)
			}
		}
	}
	if x.other != "" {
		_, query, _ := strings.Cut(link, "?")
		a, err := x.send(ctx, request{method: http.MethodPut, url: x.at(x.other, loot) + "?" + query, body: "planted"})
		if err != nil {
			return err
		}
		if _, err := x.get(ctx, x.other, loot); err == nil {
			return through("a PUT into another bucket", a)
		}
	}
	return nil
}

// subresources of S3 that a query names.
var subresources = []string{
	"acl", "tagging", "policy", "versioning", "lifecycle", "cors", "website", "notification", "logging",
	"retention", "legal-hold", "object-lock", "encryption", "versionId=null", "uploads", "attributes",
}

// linkSubresource adds to the query of an upload link.
func linkSubresource(ctx context.Context, x *suite) error {
	loot := x.userKey("ann", "loot/subresource")
	for _, name := range subresources {
		if err := x.put(ctx, x.bucket, loot, "as it was"); err != nil {
			return err
		}
		link, err := x.writes(ctx, loot, nil)
		if err != nil {
			return err
		}
		const body = "not of the form that it should have"
		a, err := x.send(ctx, request{method: http.MethodPut, url: link + "&" + name, body: body})
		if err != nil {
			return err
		}
		got, err := x.get(ctx, x.bucket, loot)
		if err != nil {
			return err
		}
		if a.ok() && got != body { // what it did was no upload
			return through("a PUT of "+name, a)
		}
	}
	core := &minio.Core{Client: x.root}
	id, err := core.NewMultipartUpload(ctx, x.bucket, loot, minio.PutObjectOptions{})
	if err != nil {
		return nil // the server knows no uploads in parts: see that need
	}
	defer func() { _ = core.AbortMultipartUpload(context.WithoutCancel(ctx), x.bucket, loot, id) }()
	victims, err := x.victims(ctx)
	if err != nil {
		return err
	}
	link, err := x.writes(ctx, loot, nil)
	if err != nil {
		return err
	}
	a, err := x.send(ctx, request{method: http.MethodPut, url: link + "&partNumber=1&uploadId=" + id,
		header: map[string]string{"x-amz-copy-source": "/" + x.bucket + "/" + encode(victims[0])}})
	if err != nil {
		return err
	}
	parts, err := core.ListObjectParts(ctx, x.bucket, loot, id, 0, 10)
	if err == nil && len(parts.ObjectParts) > 0 {
		return through("a part of another upload", a)
	}
	return nil
}

// linkMethod uses an upload link for something else.
func linkMethod(ctx context.Context, x *suite) error {
	loot := x.userKey("ann", "loot/method")
	for _, q := range []request{
		{method: http.MethodGet}, {method: http.MethodHead}, {method: http.MethodDelete}, {method: http.MethodPost},
		{method: http.MethodPut, header: map[string]string{"X-HTTP-Method-Override": "DELETE"}},
		{method: http.MethodPost, header: map[string]string{"X-HTTP-Method-Override": "GET"}},
	} {
		if err := x.put(ctx, x.bucket, loot, secret); err != nil {
			return err
		}
		var err error
		if q.url, err = x.writes(ctx, loot, nil); err != nil {
			return err
		}
		a, err := x.send(ctx, q)
		if err != nil {
			return err
		}
		_, err = x.get(ctx, x.bucket, loot)
		switch {
		case a.ok() && (q.method == http.MethodGet || q.method == http.MethodHead), strings.Contains(a.body, secret):
			return through("a "+q.method, a)
		case s3.IsMissing(err):
			return through("a deletion by "+q.method, a)
		case err != nil:
			return err
		}
	}
	return nil
}

// linkHeaders uploads with headers that add to the file what the link does not sign.
func linkHeaders(ctx context.Context, x *suite) error {
	kept := func(name string) func(answer, minio.ObjectInfo) bool {
		return func(_ answer, o minio.ObjectInfo) bool { return o.Metadata.Get(name) != "" }
	}
	public := func(a answer, _ minio.ObjectInfo) bool { return a.ok() }
	var got []string
	for i, try := range []struct {
		header map[string]string
		// took says that it is there: by what anybody without keys is answered, and what a HEAD says.
		took func(answer, minio.ObjectInfo) bool
	}{
		{map[string]string{"x-amz-tagging": "a=b"}, kept("x-amz-tagging-count")},
		{map[string]string{"x-amz-acl": "public-read"}, public},
		{map[string]string{"x-amz-grant-read": `uri="http://acs.amazonaws.com/groups/global/AllUsers"`}, public},
		{map[string]string{"x-amz-website-redirect-location": "https://example.org/"},
			kept("x-amz-website-redirect-location")},
		{map[string]string{"x-amz-object-lock-mode": "GOVERNANCE",
			"x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}, kept("x-amz-object-lock-mode")},
		{map[string]string{"x-amz-storage-class": "REDUCED_REDUNDANCY"}, kept("x-amz-storage-class")},
		{map[string]string{"x-amz-meta-forged": "yes"}, kept("x-amz-meta-forged")},
	} {
		loot := x.userKey("ann", fmt.Sprintf("loot/header-%d", i))
		link, err := x.writes(ctx, loot, nil)
		if err != nil {
			return err
		}
		q := request{method: http.MethodPut, url: link, header: try.header, body: "mine"}
		if _, err = x.send(ctx, q); err != nil {
			return err
		}
		info, err := x.root.StatObject(ctx, x.bucket, loot, minio.StatObjectOptions{})
		if s3.IsMissing(err) {
			continue // refused
		}
		if err != nil {
			return err
		}
		anybody, err := x.send(ctx, request{method: http.MethodGet, url: x.at(x.bucket, loot)})
		if err != nil {
			return err
		}
		if try.took(anybody, info) {
			for name := range try.header {
				got = append(got, name)
			}
		}
	}
	if len(got) > 0 {
		slices.Sort(got)
		return errors.New("taken though not signed: " + strings.Join(got, ", "))
	}
	return nil
}

// linkReads sends a download link's signature along other paths, and adds to its query.
func linkReads(ctx context.Context, x *suite) error {
	victims, err := x.victims(ctx)
	if err != nil {
		return err
	}
	own := x.userKey("ann", "own/file")
	if err := x.put(ctx, x.bucket, own, "ann's own"); err != nil {
		return err
	}
	link, err := x.reads(ctx, http.MethodGet, own, nil)
	if err != nil {
		return err
	}
	var tries []string
	for _, v := range victims {
		for _, path := range elsewhere(own, v) {
			tries = append(tries, x.replacePath(link, path))
		}
	}
	for _, name := range append(subresources, "list-type=2", "versions", "prefix=") {
		tries = append(tries, link+"&"+name)
	}
	_, query, _ := strings.Cut(link, "?")
	tries = append(tries, x.Endpoint+"/"+x.bucket+"?"+query, x.Endpoint+"/"+x.bucket+"/?list-type=2&"+query)
	for _, u := range tries {
		a, err := x.send(ctx, request{method: http.MethodGet, url: u})
		if err != nil {
			return err
		}
		if a.ok() && a.body != "ann's own" {
			tried, _, _ := strings.Cut(strings.TrimPrefix(u, x.Endpoint), "X-Amz-")
			return through("a GET of "+tried, a)
		}
	}
	return nil
}
