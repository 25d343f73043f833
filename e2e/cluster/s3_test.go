package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// Each S3 server has a component of the name s3, files that parse, and an operator's configuration.
func TestS3Servers(t *testing.T) {
	t.Setenv("UNIP_CACHE", t.TempDir())
	for _, s := range s3Servers {
		i := instance{ID: 1}
		if err := os.MkdirAll(i.dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := i.keepS3(s); err != nil {
			t.Fatal(err)
		}
		if has, err := i.s3Server(); err != nil || has.name != s.name {
			t.Fatalf("%s: it has %s, %v", s.name, has.name, err)
		}
		if err := i.configureS3(); err != nil {
			t.Fatal(err)
		}
		all, err := i.s3Daemons()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, d := range all {
			if d.name == "s3" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d components are s3", s.name, n)
		}
		k, err := i.s3Keys(s)
		if err != nil {
			t.Fatal(err)
		}
		if s.files != nil {
			for name, content := range s.files(i, k) {
				if strings.HasSuffix(name, ".json") && !json.Valid([]byte(content)) {
					t.Errorf("%s: %s does not parse: %s", s.name, name, content)
				}
				if b, err := os.ReadFile(i.dir(s.name+"-config", name)); err != nil || string(b) != content {
					t.Errorf("%s: %s: %v", s.name, name, err)
				}
			}
		}
		checkManifest(t, s, s.manifest(i, k))
	}
}

func checkManifest(t *testing.T, s s3Server, text string) {
	t.Helper()
	for _, left := range []string{"NODE_IP", "S3_"} {
		if strings.Contains(text, left) {
			t.Errorf("%s: %s is left", s.name, left)
		}
	}
	settings := false
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var x struct {
			Kind string
			Data map[string]string
		}
		err := d.Decode(&x)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if x.Kind != "ConfigMap" {
			continue
		}
		settings = true
		var unip struct {
			S3 struct{ Endpoint, Dialect string } `yaml:"s3"`
		}
		if err := yaml.Unmarshal([]byte(x.Data["unip.yaml"]), &unip); err != nil || unip.S3.Endpoint == "" ||
			(unip.S3.Dialect != s.name && s.name != defaultS3) {
			t.Errorf("%s: unip.yaml says %+v, %v", s.name, unip, err)
		}
	}
	if !settings {
		t.Errorf("%s: there is no unip.yaml", s.name)
	}
}

// A cluster keeps the server that it was made with.
func TestAClusterKeepsItsS3Server(t *testing.T) {
	t.Setenv("UNIP_CACHE", t.TempDir())
	i := instance{ID: 1}
	if s, err := i.chooseS3(""); err != nil || s.name != defaultS3 {
		t.Errorf("a new one: %s, %v", s.name, err)
	}
	if s, err := i.chooseS3("seaweedfs"); err != nil || s.name != "seaweedfs" {
		t.Errorf("a new one with another server: %s, %v", s.name, err)
	}
	if _, err := i.chooseS3("nobody"); err == nil {
		t.Error("there is a server called nobody")
	}
	if err := os.MkdirAll(i.dir("pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.kubeconfig(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := i.chooseS3("seaweedfs"); err == nil || !strings.Contains(err.Error(), "cluster down") {
		t.Errorf("another server for a cluster that is there: %v", err)
	}
}
