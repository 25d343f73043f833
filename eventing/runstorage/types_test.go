//go:build integration

package runstorage

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
)

// A file that was uploaded is of a type that its variable takes, by what S3 tells of it and then by its
// name; else nothing of the run begins.
func TestTypesOfUploads(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	bucket := server.Bucket(t)
	for key, stored := range map[string]string{"t.csv": "", "plain.csv": "text/plain", "t.png": "",
		"said": "text/csv"} {
		_, err := server.PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1,
			minio.PutObjectOptions{ContentType: stored})
		if err != nil {
			t.Fatal(err)
		}
	}
	types := map[string][]string{"table": {"text/csv"}}
	for key, refused := range map[string]string{"t.csv": "", "said": "",
		"plain.csv": "is of type text/plain, and table takes text/csv",
		"t.png":     "is of type image/png, and table takes text/csv"} {
		run := &runtimev1.PipelineRun{}
		run.Spec.Inputs = map[string]runtimev1.InputPath{"table": {Path: "userdata/in/" + key}}
		in := runtimev1.ResolvedInput{Name: "table", Bucket: bucket, Key: key}
		stages := []runtimev1.StageStatus{{Inputs: []runtimev1.ResolvedInput{in}}}
		got, err := Pin(t.Context(), server.Client, run, stages, types)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, refused) || (refused == "") != (got == "") {
			t.Errorf("%s: %q, want %q", key, got, refused)
		}
		got, err = Pin(t.Context(), server.Client, run, stages, nil)
		if err != nil || got != "" || stages[0].Inputs[0].ETag == "" {
			t.Errorf("%s, without types: %q %v", key, got, err)
		}
	}
}
