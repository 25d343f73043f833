//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/names"
)

// An operator's unip has the cluster try the installation's S3 server: all needs are tried, none is
// lacking without which unip does not work, and nothing of the check stays.
func TestDoctorS3(t *testing.T) {
	t.Parallel()
	unip := filepath.Join(cluster.Root, "bin", "unip")
	out, err := cluster.Run(t.Context(), nil, unip, "doctor", "--s3", "-o", "json")
	if err != nil {
		t.Error(err)
	}
	var all []needs.Result
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(all) != len(needs.Needs) {
		t.Errorf("%d results of %d", len(all), len(needs.Needs))
	}
	for i, r := range all {
		if r.Check != needs.Needs[i].Name || r.Must && r.Outcome != needs.Met {
			t.Errorf("%+v", r)
		}
	}
	jobs, err := cluster.Kubectl(t.Context(), "-n", names.SystemNamespace, "get", "jobs", "-o", "name")
	if err != nil || jobs != "" {
		t.Errorf("left: %q, %v", jobs, err)
	}
}
