package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// oddNames are file names as people write them. Those that look alike are different files.
var oddNames = []string{
	"отчёт за май.csv", "a+b.csv", "a b.csv", "a%41.csv", "aA.csv", "aa.csv", "100%.txt", "a&b=c?.txt", "#1.txt",
	"semi;colon,comma.txt", "quote'\"s.txt", "<tag>.xml", "日本語/ファイル.txt", "été.txt", "emoji-😀.txt",
	"~tilde", ".hidden", "dots..txt", "trailing.", "a=b@c:d.txt", "(1) [2] {3}.txt", "$HOME.txt", "a|b^c`.txt",
}

// odd stores each name, finds it, and tells it from the others.
func odd(ctx context.Context, x *suite) error {
	var wrong []string
	keys := map[string]string{}
	for i, name := range oddNames {
		key, text := x.key("names/"+name), fmt.Sprint("content ", i)
		if err := x.put(ctx, x.bucket, key, text); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		keys[key] = text
	}
	listed := map[string]bool{}
	all := minio.ListObjectsOptions{Prefix: x.key("names/"), Recursive: true}
	for o := range x.root.ListObjects(ctx, x.bucket, all) {
		if o.Err != nil {
			return fmt.Errorf("listing: %w", o.Err)
		}
		listed[o.Key] = true
	}
	for _, name := range oddNames {
		key := x.key("names/" + name)
		text, ok := keys[key]
		if !ok {
			continue
		}
		switch got, err := x.get(ctx, x.bucket, key); {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", name, err))
		case got != text:
			wrong = append(wrong, fmt.Sprintf("%s has the content of another file", name))
		case !listed[key]:
			wrong = append(wrong, name+" is listed by another name")
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// long stores the longest key that there is, of segments as long as they may be.
func long(ctx context.Context, x *suite) error {
	key := x.key("")
	for len(key) < databox.MaxKey {
		segment := min(databox.MaxName, databox.MaxKey-len(key))
		key += strings.Repeat("x", segment)
		if len(key) < databox.MaxKey-1 {
			key += "/"
		}
	}
	key = key[:databox.MaxKey]
	if err := x.put(ctx, x.bucket, key, "long"); err != nil {
		return err
	}
	err := x.holds(ctx, key, "long")
	if e := x.root.RemoveObject(ctx, x.bucket, key, minio.RemoveObjectOptions{}); err == nil && e != nil {
		err = fmt.Errorf("deleting it: %w", e)
	}
	return err
}

func fileAndFolder(ctx context.Context, x *suite) error {
	file, below := x.key("beside/a"), x.key("beside/a/b")
	if err := x.put(ctx, x.bucket, file, "file"); err != nil {
		return err
	}
	if err := x.put(ctx, x.bucket, below, "below"); err != nil {
		return fmt.Errorf("a/b beside a: %w", err)
	}
	if err := errors.Join(x.holds(ctx, file, "file"), x.holds(ctx, below, "below")); err != nil {
		return err
	}
	if err := x.root.RemoveObject(ctx, x.bucket, file, minio.RemoveObjectOptions{}); err != nil {
		return err
	}
	if _, err := x.get(ctx, x.bucket, file); !s3.IsMissing(err) {
		return fmt.Errorf("a is still there, or not gone alone: %w", err)
	}
	return x.holds(ctx, below, "below")
}
