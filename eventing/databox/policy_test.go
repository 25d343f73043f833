package databox_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/databox"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	const list = `{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::b"]`
	for want, g := range map[string]databox.Grant{
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/a&b","arn:aws:s3:::b/p/*"]},` +
			list + `,"Condition":{"StringLike":{"s3:prefix":"p/*"}}}`: {Bucket: "b", Access: databox.Read,
			Keys: []string{"a&b"}, Prefix: "p/"},
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/$k"]}`: {Bucket: "b",
			Access: databox.Read, Keys: []string{"$k"}},
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/m/v"]}`: {Bucket: "b",
			Access: databox.Model, Keys: []string{"m/v"}},
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/m/*"]},` +
			list + `,"Condition":{"StringLike":{"s3:prefix":"m/*"}}}`: {Bucket: "b", Access: databox.Model,
			Prefix: "m/"},
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]},` + list + `},` +
			`{"Effect":"Deny","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/users/*"]},` +
			`{"Effect":"Deny","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::b"],"Condition":{"StringLike":{"s3:prefix":"users/*"}}}`: {
			Bucket: "b", Access: databox.Read,
		},
		`{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/t/*"]},` + list +
			`,"Condition":{"StringEquals":{"s3:delimiter":"/"},"StringLike":{"s3:prefix":"t/*"}}}`: {Bucket: "b",
			Access: databox.Mount, Prefix: "t/"},
		`{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::b/t/*"],"Condition":{"Null":` +
			`{"s3:RequestObjectTagKeys":"true","s3:x-amz-copy-source":"true"}}},` +
			`{"Effect":"Allow","Action":["s3:AbortMultipartUpload"],"Resource":["arn:aws:s3:::b/t/*"]},` +
			`{"Effect":"Deny","Action":["s3:PutObject","s3:AbortMultipartUpload"],"Resource":["arn:aws:s3:::b/users/*"]}`: {
			Bucket: "b", Access: databox.MountWrite, Prefix: "t/"},
		`{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::b/models/m"],"Condition":{"Null":` +
			`{"s3:RequestObjectTagKeys":"true","s3:x-amz-copy-source":"true"}}}`: {
			Bucket: "b", Access: databox.AuthorPut, Keys: []string{"models/m"}},
	} {
		got, err := databox.Policy(g)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(`{"Version":"2012-10-17","Statement":[`+want+`]}`, got); d != "" {
			t.Errorf("%+v (-want +got):\n%s", g, d)
		}
	}
}

// What a policy cannot say, or must not, is an error: never a wider policy.
func TestGrantsThatAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 900)
	for name, tc := range map[string]struct {
		grants []databox.Grant
		want   error
	}{
		"an unknown access": {[]databox.Grant{{Bucket: "b", Access: "admin"}}, databox.ErrGrant},
		"no bucket":         {[]databox.Grant{{Access: databox.Read}}, databox.ErrGrant},
		"a star in a key": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Keys: []string{"a*"}}},
			databox.ErrPattern},
		"a question mark in a key": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Keys: []string{"a?"}}},
			databox.ErrPattern},
		"a variable in a prefix": {[]databox.Grant{{Bucket: "b", Access: databox.Write,
			Prefix: "${aws:username}/"}}, databox.ErrPattern},
		"a key that is not UTF-8": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Keys: []string{"a\xff"}}},
			databox.ErrPattern},
		"an empty key": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Keys: []string{""}}},
			databox.ErrGrant},
		"all users": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Prefix: "users/"}},
			databox.ErrGrant},
		"all users, and more": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Prefix: "us"}},
			databox.ErrGrant},
		"users whose names begin so": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Prefix: "users/an"}},
			databox.ErrGrant},
		"a user without a name": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Prefix: "users//"}},
			databox.ErrGrant},
		"paths for the file API": {[]databox.Grant{{Bucket: "b", Access: databox.Files, Prefix: "users/ann/"}},
			databox.ErrGrant},
		"a model of nothing": {[]databox.Grant{{Bucket: "b", Access: databox.Model}}, databox.ErrGrant},
		"a model at the root": {[]databox.Grant{{Bucket: "b", Access: databox.Model, Prefix: "/"}},
			databox.ErrGrant},
		"a model of all users": {[]databox.Grant{{Bucket: "b", Access: databox.Model, Prefix: "users/"}},
			databox.ErrGrant},
		"a model of a user": {[]databox.Grant{{Bucket: "b", Access: databox.Model,
			Keys: []string{"users/ann/file_groups/m"}}}, databox.ErrGrant},
		"a mount of all users": {[]databox.Grant{{Bucket: "b", Access: databox.Mount, Prefix: "users/"}},
			databox.ErrGrant},
		"a mount of a user's files": {[]databox.Grant{{Bucket: "b", Access: databox.MountWrite,
			Prefix: "users/ann/file_groups/"}}, databox.ErrGrant},
		"a mount without its end": {[]databox.Grant{{Bucket: "b", Access: databox.Mount, Prefix: "tab"}},
			databox.ErrGrant},
		"a mount of an object": {[]databox.Grant{{Bucket: "b", Access: databox.MountWrite, Keys: []string{"k"}}},
			databox.ErrGrant},
		"a model without its end": {[]databox.Grant{{Bucket: "b", Access: databox.Model, Prefix: "mod"}},
			databox.ErrGrant},
		"an author's whole area": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut}}, databox.ErrGrant},
		"an author's folder": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut, Prefix: "models/"}},
			databox.ErrGrant},
		"an author's folder as a key": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut,
			Keys: []string{"models/"}}}, databox.ErrGrant},
		"two objects of an author": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut,
			Keys: []string{"m", "n"}}}, databox.ErrGrant},
		"a user's file by an author": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut,
			Keys: []string{"users/ann/file_groups/m"}}}, databox.ErrGrant},
		"a pattern by an author": {[]databox.Grant{{Bucket: "b", Access: databox.AuthorPut,
			Keys: []string{"models/*"}}}, databox.ErrPattern},
		"the developer's and a user's": {[]databox.Grant{
			{Bucket: "b", Access: databox.Read}, {Bucket: "b", Access: databox.Write, Prefix: "users/ann/file_groups/"},
		}, databox.ErrGrant},
		"too much": {[]databox.Grant{{Bucket: "b", Access: databox.Read, Keys: []string{long, long, long}}},
			databox.ErrPolicyTooLong},
	} {
		if p, err := databox.Policy(tc.grants...); p != "" || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %s", name, err, p)
		}
	}
}
