package main

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// s3Server is an S3 server that a cluster may have, on the first node.
type s3Server struct {
	name string
	// program is what it is built from, or debian are its packages, by a program of each.
	program program
	debian  map[string]string
	// daemons are what it is made of. The one that listens at the node's port 9000 is called s3,
	// whichever server it is.
	daemons func(i instance, k s3Keys) []daemon
	// files are its configuration, by their names in its folder of that.
	files func(i instance, k s3Keys) map[string]string
	// settings are what unip.yaml says of it below s3.
	settings string
}

// s3YAML is what an operator would write for a server. It is not among the manifests, whose images are
// built again when one of them changes.
//
//go:embed s3.yaml
var s3YAML string

// manifest tells the cluster of the server.
func (s s3Server) manifest(i instance, k s3Keys) string {
	return strings.NewReplacer("NODE_IP", i.nodeIP(), "S3_PUBLIC", i.s3(), "S3_USER", k.user, "S3_PASSWORD", k.password,
		"S3_WEBHOOK_TOKEN", k.token, "      # S3_SETTINGS\n", s.settings).Replace(s3YAML)
}

// s3Keys are the installation's keys, which may do everything, and what its webhook shows.
type s3Keys struct{ user, password, token string }

// defaultS3 is the server of a cluster that is not asked for another one.
const defaultS3 = "minio"

// s3Servers are what `up --s3` takes.
var s3Servers = []s3Server{
	{
		name: "minio",
		program: program{module: "minio", flags: []string{"-tags=kqueue"},
			packages: []string{"github.com/minio/minio"}},
		daemons: func(i instance, k s3Keys) []daemon {
			return []daemon{{name: "s3", env: []string{
				"MINIO_ROOT_USER=" + k.user, "MINIO_ROOT_PASSWORD=" + k.password, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
				"MINIO_NOTIFY_WEBHOOK_ENABLE_UNIP=on",
				"MINIO_NOTIFY_WEBHOOK_ENDPOINT_UNIP=" + receiver + "minio",
				"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_UNIP=Bearer " + k.token,
				"MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_UNIP=" + i.dir("minio-queue"),
				"MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_UNIP=100000",
			}, args: []string{"minio", "server", "--address", i.nodeIP() + ":9000", "--quiet", i.dir("minio")}}}
		},
	},
	{
		name: "seaweedfs",
		program: program{module: "seaweedfs",
			packages: []string{"github.com/seaweedfs/seaweedfs/weed"}},
		daemons: func(i instance, _ s3Keys) []daemon {
			conf := i.dir("seaweedfs-config")
			return []daemon{{name: "s3", args: []string{
				"weed", "-config_dir=" + conf, "-logtostderr", "server", "-dir=" + i.dir("seaweedfs"), "-filer", "-s3",
				// Only S3 is for others: nobody need show a key to the rest.
				"-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=" + i.nodeIP(), "-s3.port=9000", "-s3.port.grpc=9001",
				"-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
				"-s3.allowBackslashInKey",
				"-s3.config=" + conf + "/s3.json", "-s3.iam.config=" + conf + "/iam.json", "-master.telemetry=false",
				"-master.volumeSizeLimitMB=128", "-volume.max=2000", "-volume.preStopSeconds=0", "-volume.port=9340",
			}}}
		},
		files:    seaweedFiles,
		settings: "      dialect: seaweedfs\n",
	},
	ceph,
}

// receiver is where unip takes notifications; the dialect follows.
const receiver = "http://s3-events.unip-system.svc.cluster.local:8080/v1/"

// seaweedFiles are who may do what, who signs sessions, and the webhook, which is the filer's.
func seaweedFiles(_ instance, k s3Keys) map[string]string {
	type object = map[string]any
	marshal := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings only
		}
		return string(b)
	}
	return map[string]string{
		"s3.json": marshal(object{"identities": []object{{
			"name": k.user, "actions": []string{"Admin"},
			"credentials": []object{{"accessKey": k.user, "secretKey": k.password}},
		}}}),
		"iam.json": marshal(object{"sts": object{
			"issuer": "seaweedfs", "tokenDuration": "1h", "maxSessionLength": "168h",
			"signingKey": base64.StdEncoding.EncodeToString([]byte("sessions " + k.password)),
		}}),
		"master.toml": "[master.volume_growth]\ncopy_1 = 1\nallocation_deferral = \"0s\"\n",
		"notification.toml": fmt.Sprintf(`[notification.webhook]
enabled = true
endpoint = %q
bearer_token = %q
max_retries = 10
backoff_seconds = 1
max_backoff_seconds = 10
workers = 20
buffer_size = 100000
path_prefixes = ["/buckets/unip-"]
`, receiver+"seaweedfs", k.token),
	}
}

// s3Names are the names of all servers.
func s3Names() string {
	var names []string
	for _, s := range s3Servers {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// s3Server is the one that the instance has been made with.
func (i instance) s3Server() (s3Server, error) {
	name := defaultS3
	b, err := os.ReadFile(i.dir("s3"))
	if err == nil {
		name = strings.TrimSpace(string(b))
	}
	return s3Named(name)
}

func s3Named(name string) (s3Server, error) {
	at := slices.IndexFunc(s3Servers, func(s s3Server) bool { return s.name == name })
	if at < 0 {
		return s3Server{}, fmt.Errorf("there is no S3 server %q here: it is one of %s", name, s3Names())
	}
	return s3Servers[at], nil
}

// chooseS3 takes the server that was asked for, "" for any. A cluster keeps the one that it was made with.
func (i instance) chooseS3(name string) (s3Server, error) {
	has, err := i.s3Server()
	if err != nil || name == "" || name == has.name {
		return has, err
	}
	if exists(i.kubeconfig()) {
		return s3Server{}, fmt.Errorf("cluster %d has %s; end it (`cluster down`) for one with %s", i.ID, has.name, name)
	}
	return s3Named(name)
}

// keepS3 writes down which server the instance has.
func (i instance) keepS3(s s3Server) error {
	return os.WriteFile(i.dir("s3"), []byte(s.name+"\n"), 0o600)
}

func (i instance) s3Keys(s s3Server) (k s3Keys, err error) {
	k.user = "unip-admin"
	if k.password, err = i.secret(s.name + "-password"); err != nil {
		return k, err
	}
	k.token, err = i.secret(s.name + "-webhook-token")
	return k, err
}

// s3Daemons start the instance's server.
func (i instance) s3Daemons() ([]daemon, error) {
	s, err := i.s3Server()
	if err != nil {
		return nil, err
	}
	k, err := i.s3Keys(s)
	if err != nil {
		return nil, err
	}
	return s.daemons(i, k), nil
}

// programs are what has to be built for it.
func (s s3Server) programs() []program {
	if s.program.module == "" {
		return nil
	}
	return []program{s.program}
}

// configureS3 makes the folders and writes the configuration of the instance's server.
func (i instance) configureS3() error {
	s, err := i.s3Server()
	if err != nil {
		return err
	}
	k, err := i.s3Keys(s)
	if err != nil {
		return err
	}
	for _, d := range []string{s.name, s.name + "-queue", s.name + "-config"} {
		if err := os.MkdirAll(i.dir(d), 0o700); err != nil {
			return err
		}
	}
	if s.files == nil {
		return nil
	}
	files := s.files(i, k)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(i.dir(s.name+"-config", name), []byte(files[name]), 0o600); err != nil {
			return err
		}
	}
	return nil
}
