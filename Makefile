# unip: see README.md. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The same flags everywhere, ko's included, so that every build shares one compile cache.
export CGO_ENABLED := 0
export GOTOOLCHAIN := local
export GOFLAGS := -trimpath -buildvcs=false
export KO_CONFIG_PATH := $(CURDIR)/ko.yaml

BIN := $(CURDIR)/bin
export CLUSTER := $(BIN)/cluster
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
# Run a recipe's commands with the environment of the cluster: KUBECONFIG, ko's registry, the S3 endpoint.
IN_CLUSTER := eval "$$($(CLUSTER) env)"

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- build ---------------------------------------------------------------------------------------------------------------

.PHONY: build
build: build-dev ## the command line: bin/unip with bin/unip-dev, and bin/kubectl-unip for kubectl
	@go build -ldflags "-s -w -X main.commit=$(COMMIT)" -o $(BIN)/unip ./cmd/unip
	@ln -sf unip $(BIN)/kubectl-unip

.PHONY: build-dev
build-dev: ## what unip dev runs: bin/unip-dev
	@go build -ldflags "-s -w" -o $(BIN)/unip-dev ./cmd/unip-dev

.PHONY: generate
generate: ## deep copies and CRDs from the Go types (a test fails when they are stale)
	@go generate ./...

# What is judged by: golangci-lint and actionlint, built once for what .ci/tools selects, kept beside the other built tools.
# PEERS are programs of others, from the module proxy, that releases and measurements need.
CACHE := $(shell echo "$${XDG_CACHE_HOME:-$$HOME/.cache}")/unip
PEERS := $(CACHE)/peers
TOOLS := $(CACHE)/tools-$(shell cat .ci/*/go.sum <(go version) | sha256sum | cut -c1-12)
$(TOOLS)/golangci-lint:
	@echo "building golangci-lint, once (5 minutes on 2 cores) …" >&2
	@go build -modfile=.ci/tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/actionlint:
	@go -C .ci/actionlint build -o $@ github.com/rhysd/actionlint/cmd/actionlint

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/actionlint ## formatting, go vet, golangci-lint, actionlint, width of the documents
	@out=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "not gofmt-ed: $$out" >&2; exit 1; }
	go vet ./...
	go vet -tags integration ./...
	go vet -tags e2e ./...
	go -C e2e/cluster vet ./...
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...
	$(TOOLS)/actionlint
	.ci/width

.PHONY: check
check: lint ## what to run before every commit: format, vet, lint, tests of the packages that start no process
	go test -short $(PURE)

# What has files of its own for an operating system is compiled for each, without optimizing, which takes a quarter less; from
# an empty cache it takes 4 minutes. For Windows those packages of unip that have such files are enough; make release compiles
# all of it.
PLAIN := -gcflags='all=-N -l'
.PHONY: platforms
platforms: ## unip and unip dev compile for macOS, unip dev for Linux on arm64, what differs on Windows for Windows
	GOOS=darwin GOARCH=arm64 go vet $(PLAIN) ./cmd/unip/... ./cmd/unip-dev/... ./cmd/internal/...
	GOOS=windows GOARCH=amd64 go build $(PLAIN) ./cmd/internal/...
	GOOS=linux GOARCH=arm64 go build $(PLAIN) -o /dev/null ./cmd/unip-dev

# --- the local cluster -----------------------------------------------------------------------------------------------------

# Always asked of the go command: it knows best whether something changed.
.PHONY: $(CLUSTER)
$(CLUSTER):
	@go -C e2e/cluster build -o $@ .

# How many nodes: a second one is for tests of lost nodes. Which S3 server: minio, seaweedfs or ceph; none is the one it has.
NODES ?= 1
S3 ?=
# What carries the modules' events: in-memory or jetstream; none is what it has.
BROKER ?=
.PHONY: cluster
cluster: $(CLUSTER) ## a real Kubernetes + Knative + S3 on this machine (with KUBECONFIG set: that cluster; NODES=2 for two nodes; S3=seaweedfs or ceph; BROKER=jetstream)
	@$(CLUSTER) up --nodes $(NODES) --s3 "$(S3)" --broker "$(BROKER)"

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## end the local cluster and everything it left on the machine
	@$(CLUSTER) down

# How many replicas of the controller.
REPLICAS ?= 1
.PHONY: deploy
deploy: cluster ## build unip's images with ko and apply config/ (REPLICAS=2 for two controllers)
	@go mod download
	@$(IN_CLUSTER); $(CLUSTER) exec -- ko resolve --sbom=none -f config/ \
	  | sed -e 's/^  replicas: 2 # of the router/  replicas: 1/; t' -e 's/^  replicas: 1\b.*/  replicas: $(REPLICAS)/' | kubectl apply -f -
	@$(IN_CLUSTER); kubectl -n unip-system rollout status deploy/unip-controller --timeout=120s
	@$(IN_CLUSTER); kubectl -n unip-system rollout status deploy/unip-router --timeout=120s

# --- release ---------------------------------------------------------------------------------------------------------------

# make release VERSION=1.2.3 REGISTRY=registry.example.org/unip PUSH=1: VERSION is a section of CHANGELOG.md, and without it a
# snapshot is made, whose registry is the local cluster's. PLATFORMS=linux/amd64 for one of them, DIRTY=1 while one works on it.
REGISTRY ?= registry.localhost:5000/unip
DIST ?= $(CURDIR)/dist
.PHONY: release
release: $(CLUSTER) $(PEERS)/cyclonedx-gomod ## dist/: images, unip.yaml, chart, programs, what they are made of, checksums (VERSION, REGISTRY, PUSH=1)
	@go mod download
	@go run ./release --version '$(VERSION)' --registry '$(REGISTRY)' --out '$(DIST)' --ko $$($(CLUSTER) bin tools)/ko \
	  --cyclonedx-gomod $(PEERS)/cyclonedx-gomod $(if $(PLATFORMS),--platforms '$(PLATFORMS)') $(if $(PUSH),--push) $(if $(DIRTY),--dirty)

# The release of this machine's platform, twice, the second time from a clone.
AGAIN := $(BIN)/again
.PHONY: release-check
release-check: $(PEERS)/helm $(CLUSTER) ## what dist/ has: checksums, images, the chart and Helm, an overlay, the same bytes twice (PLATFORMS=linux/amd64, PUSH=1)
	@rm -rf $(AGAIN) && mkdir -p $(AGAIN) && git clone -q . $(AGAIN)/src
	@$(MAKE) --no-print-directory release
	@$(MAKE) --no-print-directory -C $(AGAIN)/src release DIST=$(AGAIN)/dist
	@UNIP_DIST=$(DIST) UNIP_DIST_AGAIN=$(AGAIN)/dist UNIP_HELM=$(PEERS)/helm UNIP_KUBECTL=$$($(CLUSTER) bin kube)/kubectl \
	  go test -tags e2e -count=1 -v -skip 'TestInstallation$(if $(PUSH),,|TestPushed)' ./e2e/release/
	@rm -rf $(AGAIN)

# The release before, made as one did then, and called v0.1.0.
BEFORE ?= eb908b6
.PHONY: before
before: cluster
	@rm -rf $(BIN)/before && git worktree prune && git worktree add -q --detach $(BIN)/before/src $(BEFORE)
	@$(IN_CLUSTER); $(CLUSTER) exec -- sh -c 'cd $(BIN)/before/src && KO_CONFIG_PATH=ko.yaml ko resolve --sbom=none -f config/' \
	  > $(BIN)/before/images.yaml
	@$(IN_CLUSTER); kubectl label --local --overwrite -f $(BIN)/before/images.yaml app.kubernetes.io/version=0.1.0 -o yaml | sed 's/^apiVersion:/---\n&/' > $(BIN)/before/unip.yaml
	@go -C $(BIN)/before/src build -ldflags "-s -w -X main.version=v0.1.0" -o $(BIN)/before/unip ./cmd/unip
	@git worktree remove --force $(BIN)/before/src

.PHONY: e2e-install
e2e-install: $(CLUSTER) ## a fresh local cluster: an upgrade from v0.1.0 with runs under way; then an installation from dist/ alone (6 minutes once built)
	@[ -e $(DIST)/unip.yaml ] || { echo "there is no release in $(DIST): make release" >&2; exit 1; }
	@$(CLUSTER) down
	@$(MAKE) --no-print-directory images before
	@$(IN_CLUSTER); UNIP_DIST=$(DIST) UNIP_BEFORE=$(BIN)/before go test -tags e2e -count=1 -v -timeout 30m -run TestInstallation ./e2e/release/

# --- show and test -----------------------------------------------------------------------------------------------------------

.PHONY: images
images: cluster # the images of examples/ and of the tests, for the local cluster
	@$(CLUSTER) image --tag registry.localhost:5000/examples/digits:v1 --debian python3-sklearn,python3-pip-whl,coreutils,dash \
	  --add examples/digits/digits:/app/digits --workdir /app --user 1000
	@$(CLUSTER) image --tag registry.localhost:5000/e2e/echo:v1 --debian python3,coreutils,dash \
	  --add e2e/testdata/echo:/app --workdir /app --user 1000
	@$(CLUSTER) image --tag registry.localhost:5000/e2e/attack:v1 --debian python3,coreutils,dash \
	  --add e2e/attack/image:/app --workdir /app # as uid 0, as most images are

# Only what unip dev is made of is built.
.PHONY: demo
demo: ## the main job on this machine: an upload trains a model, which answers (DEMO=--without-sklearn: without scikit-learn)
	@begin=$$(date +%s) && e2e/demo/build $(BIN) && $(BIN)/demo --since $$begin $(DEMO)

.PHONY: demo-cluster
demo-cluster: build deploy images ## the same module on a real Knative: its model answers from zero pods
	@$(IN_CLUSTER); go run ./e2e/demo/cluster

# Packages whose tests are quick: all but those that start Python, or the stages' programs, in each test.
PURE = $$(go list ./... | grep -vE '/functions/(inference|stage)$$|/e2e')

.PHONY: test
test: dev-clients numpy ## unit, golden and property tests, with real Python: no S3 server, no API server, no cluster
	@go test -vet=off ./... # make check vets
	@go -C e2e/cluster test -vet=off ./...

# Prometheus, for a test, and its own tool for the rules of config/monitoring, of Debian's package.
PROMTOOL := $(PEERS)/promtool
PROMETHEUS := $(PEERS)/prometheus
$(PROMTOOL) $(PROMETHEUS) &:
	@echo "fetching Prometheus …"; dir=$$(mktemp -d) && cd $$dir && mkdir -p $(PEERS) \
	  && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; } \
	  && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin && mv usr/bin/promtool usr/bin/prometheus $(PEERS)/ && rm -r $$dir

.PHONY: test-integration
test-integration: $(CLUSTER) $(PROMETHEUS) engine ## the tests with a real S3 server and a real API server: those in files with the build tag integration
	@files=$$(git ls-files '*_test.go' | xargs grep -l '^//go:build integration'); \
	names=$$(grep -hoE '^func (Test|Example|Fuzz)[A-Za-z0-9_]+' $$files | cut -d' ' -f2 | sort -u | paste -sd'|'); \
	export UNIP_MINIO=$$($(CLUSTER) bin minio)/minio KUBEBUILDER_ASSETS=$$($(CLUSTER) bin kube) \
	  UNIP_COLLECTOR=$$($(CLUSTER) bin collector)/collector UNIP_PROMETHEUS=$(PROMETHEUS); \
	go test -vet=off -tags integration -timeout 20m -run "^($$names)\$$" $$(dirname $$files | sort -u | sed 's|^|./|')

# What speaks S3, with sessions, against another server than MinIO. Building it is 7 minutes of CPU, once.
S3_PACKAGES := ./eventing/databox/... ./eventing/plan ./eventing/runstorage
.PHONY: test-s3
test-s3: $(CLUSTER) ## the tests with a real S3 server against SeaweedFS, which is built first (10 minutes, once)
	@UNIP_SEAWEEDFS=$$($(CLUSTER) bin seaweedfs)/weed go test -vet=off -tags integration -count=1 $(S3_PACKAGES)

# Which fuzz target, and for how long; `make fuzz FUZZ=./functions/internal/caller:FuzzVerify FUZZTIME=1h`.
FUZZ ?= ./translate/manifest:FuzzRead
FUZZTIME ?= 60s
.PHONY: fuzz
fuzz: ## look for bytes that the decoder of manifests does not bear (FUZZTIME=60s; FUZZ=PACKAGE:TARGET for another)
	@go test -run '^$$' -fuzz '^$(word 2,$(subst :, ,$(FUZZ)))$$' -fuzztime $(FUZZTIME) $(word 1,$(subst :, ,$(FUZZ)))

.PHONY: fuzz-all
fuzz-all: ## every fuzz target, two at a time, 3 s each (FUZZTIME=5m for longer)
	@$(if $(filter file,$(origin FUZZTIME)),,FUZZTIME='$(FUZZTIME)') .ci/fuzz

.PHONY: vuln
vuln: ## known vulnerabilities in what our code calls, by govulncheck (VULNDB=URL for a mirror of its database)
	@.ci/vuln

# Container engines for the tests of unip build and of unip dev.
.PHONY: engine
engine:
	@command -v buildah >/dev/null && command -v podman >/dev/null || { [ $$(id -u) = 0 ] || { echo "install buildah and podman, or run this as root" >&2; exit 1; }; echo "installing buildah and podman …" && apt-get update -q && apt-get install -y -q --no-install-recommends buildah podman runc; }

# Clients of S3 that people have, for the tests of the storage of unip dev.
.PHONY: dev-clients
dev-clients:
	@missing=; command -v curl >/dev/null || missing=curl; command -v aws >/dev/null || missing="$$missing awscli"; \
	/usr/bin/python3 -c 'import boto3' 2>/dev/null || missing="$$missing python3-boto3"; \
	[ -z "$$missing" ] || { [ $$(id -u) = 0 ] || { echo "install $$missing, or run this as root" >&2; exit 1; }; echo "installing $$missing …" && apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; }

.PHONY: numpy
numpy:
	@python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null || { [ $$(id -u) = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends python3 python3-numpy; }

.PHONY: test-dev-long
test-dev-long: ## much in the storage of unip dev: 20,000 small files, and one of 2 GiB (a minute, 5 GiB of disk)
	@UNIP_LONG=1 go test -vet=off -count=1 -run TestMuch -v ./cmd/unip-dev/internal/storage

.PHONY: stories
stories: ## what users do, with the same answers of unip dev and of a cluster: against unip dev (a minute)
	@go test -vet=off -count=1 -run TestAnswers ./cmd/unip-dev

.PHONY: stories-cluster
stories-cluster: build deploy images ## the same stories against the cluster (5 minutes)
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -run TestStories ./e2e/

# Of the tests, those to whom it matters which S3 server there is; with another than MinIO only these run.
S3_TESTS := Upload|Outage|Storage|AModel|ModelPut|FilesOfACall|Mounts|Places|Dataset|BoxesAreApart|RenewedCredentials|LeavesNothing|EmptyFolders|CommittedStage
# With another Broker, those that have to do with events.
EVENT_TESTS := Pipelines|Cancel|Runs|Upload|FailingStages|RetriesAndTurns|Schedule|Retrained|Places|ApplyDiffDelete|LeavesNothing
ONLY_TESTS = $(if $(filter-out minio,$(S3)),-run '$(S3_TESTS)',$(if $(filter jetstream,$(BROKER)),-run '$(EVENT_TESTS)'))
# ONE_HOST=1: modules are called at the one host of all, through the router.
ONE_HOST ?=
export UNIP_ONE_HOST := $(ONE_HOST)
.PHONY: e2e
e2e: build deploy images engine ## tests on the cluster (half an hour), and then a short chaos of 3 minutes (S3=seaweedfs or ceph: those of storage; BROKER=jetstream: those of events)
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -parallel 4 -timeout 40m $(ONLY_TESTS) ./e2e/
	@$(if $(filter-out minio,$(S3)),,$(IN_CLUSTER); go test -tags e2e -count=1 -v -timeout 20m ./e2e/chaos/) # alone and last: it kills what others need

# One plan, made of SEED, of RUNS runs: `make chaos SEED=7 RUNS=100`. CHAOS='--only "s3 503"' makes some of its faults only.
# Its report lies in bin/chaos-SEED.json.
SEED ?= 1
RUNS ?= 100
.PHONY: chaos
chaos: build deploy images ## kill and restart everything under a module's runs, by the plan of SEED, and judge (RUNS=100: half an hour)
	@go build -o $(BIN)/chaos ./e2e/chaos
	@$(IN_CLUSTER); $(BIN)/chaos --seed $(SEED) --runs $(RUNS) --json $(BIN)/chaos-$(SEED).json $(CHAOS)

.PHONY: chaos-tables
chaos-tables: ## the tables of docs/reliability.md, from what make chaos has left (FILES='a.json b.json' for others)
	@go run ./e2e/chaos --tables $(or $(FILES),$(wildcard $(BIN)/chaos-*.json))

.PHONY: e2e-broker
e2e-broker: ## kill the dispatcher and NATS under runs, on a local cluster with JetStream (5 minutes)
	@$(MAKE) build deploy images BROKER=jetstream
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -timeout 20m ./e2e/broker/

.PHONY: e2e-nodes
e2e-nodes: ## lose a node under a running stage, on a local cluster with two (5 minutes)
	@$(MAKE) build deploy images NODES=2
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -timeout 20m ./e2e/nodes/

.PHONY: e2e-long
e2e-long: build deploy images ## a stage that works longer than its S3 session lives, a call of 590 s (22 minutes)
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -timeout 40m ./e2e/long/

.PHONY: attack
attack: build deploy images ## try what strangers try, by attacker, against the cluster (within 5 minutes)
	@$(IN_CLUSTER); go test -tags e2e -count=1 -v -parallel 32 -timeout 12m ./e2e/attack/

.PHONY: bench
bench: build deploy images ## measure cold and warm predict beside a trivial Go service, and the controller
	@$(IN_CLUSTER); go run ./e2e/bench

.PHONY: bench-scale
bench-scale: build deploy images ## measure 10,000 uploads at once, as many waiting runs, and the sweep of a large box
	@$(IN_CLUSTER); go run ./e2e/bench/scale $(BENCH)

# What unip translate is measured against; helm renders the chart of a release, too.
$(PEERS)/kustomize:
	@echo "building kustomize …"; GOFLAGS= GOBIN=$(PEERS) go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
$(PEERS)/helm:
	@echo "building helm (some minutes) …"; GOFLAGS= GOBIN=$(PEERS) go install helm.sh/helm/v3/cmd/helm@v3.19.0

# What a program is made of, read from the program.
$(PEERS)/cyclonedx-gomod:
	@echo "building cyclonedx-gomod …"; GOFLAGS= GOBIN=$(PEERS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# Editors and CI of our users read the schema with these.
$(PEERS)/kubeconform:
	@echo "building kubeconform …"; GOFLAGS= GOBIN=$(PEERS) go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
LANGUAGE_SERVER := $(PEERS)/npm/node_modules/yaml-language-server/bin/yaml-language-server
$(LANGUAGE_SERVER):
	@echo "installing yaml-language-server …"; npm install --silent --no-audit --no-fund --prefix $(PEERS)/npm yaml-language-server@1.25.0

.PHONY: schema-check
schema-check: build $(PEERS)/kubeconform $(LANGUAGE_SERVER) ## the example in kubeconform and in yaml-language-server, with the schema that unip gives (needs Node.js)
	@CHECK='$(PEERS)/kubeconform' LANGUAGE_SERVER='$(LANGUAGE_SERVER)' e2e/schema/check.sh

.PHONY: monitoring-check
monitoring-check: $(PROMTOOL) ## the alerts of config/monitoring in promtool, each of which a test fires once (seconds; needs Debian's packages)
	@cd config/monitoring && $(PROMTOOL) check rules rules.yaml && $(PROMTOOL) test rules rules_test.yaml

# What is made of rules.yaml for the Prometheus operator, and the dashboard of Grafana.
.PHONY: monitoring
monitoring: ## config/monitoring/prometheusrule.yaml and dashboard.json from their sources
	@cd config/monitoring && { printf '%s\n' '# Made of rules.yaml: make monitoring.' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' \
	  'metadata:' '  name: unip' '  namespace: unip-system' '  labels: {app.kubernetes.io/part-of: unip}' 'spec:'; sed -n '/^groups:/,$$s/^/  /p' rules.yaml; } > prometheusrule.yaml
	@mkdir -p $(BIN) && go -C .ci/generate/dashboard run . > $(BIN)/dashboard.json && mv $(BIN)/dashboard.json config/monitoring/dashboard.json

.PHONY: bench-translate
bench-translate: build $(PEERS)/kustomize $(PEERS)/helm ## measure translate beside helm template and kustomize build
	@go run ./e2e/bench/translate --helm $(PEERS)/helm --kustomize $(PEERS)/kustomize

# As the module stands: its own vendor folder is not in the proxy's archive.
$(PEERS)/s5cmd:
	@echo "building s5cmd …"; dir=$$(go mod download -json github.com/peak/s5cmd/v2@v2.3.0 | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p'); \
	GOFLAGS= go -C $$dir build -mod=readonly -o $@ .

# The S3 server of unip dev as its authors' own program, for s3-check.
$(PEERS)/versitygw:
	@echo "building versitygw …"; dir=$$(go list -m -f '{{.Dir}}' github.com/versity/versitygw); \
	GOFLAGS=-buildvcs=false go -C $$dir build -mod=readonly -trimpath -ldflags "-s -w" -o $@ ./cmd/versitygw

# Which server: S3=minio, versitygw or seaweedfs; or one that is there, by S3CHECK_ENDPOINT, S3CHECK_ACCESS_KEY and
# S3CHECK_SECRET_KEY; also S3CHECK_REGION, S3CHECK_BUCKET, S3CHECK_NOTIFICATION_ARN, S3CHECK_STS (an endpoint, or none),
# S3CHECK_ROLE (an ARN) and S3CHECK_DIALECT.
.PHONY: s3-check
s3-check: $(CLUSTER) $(if $(filter versitygw,$(S3)),$(PEERS)/versitygw) ## what unip needs of an S3 server and what this one has (S3=versitygw or seaweedfs, or S3CHECK_ENDPOINT=… for your own)
	@go build -o $(BIN)/s3check ./e2e/s3check
	@[ -z "$$S3CHECK_ENDPOINT" ] || exec $(BIN)/s3check $(CHECK); [ -n "$$S3CHECK_ENDPOINT" ] || case $(or $(S3),minio) in \
	  minio) $(BIN)/s3check --server minio --program $(or $(S3_PROGRAM),$$($(CLUSTER) bin minio)/minio) $(CHECK);; \
	  versitygw) $(BIN)/s3check --server versitygw --program $(or $(S3_PROGRAM),$(PEERS)/versitygw) $(CHECK);; \
	  *) $(BIN)/s3check --server $(S3) --program $(or $(S3_PROGRAM),$$($(CLUSTER) bin $(S3))/weed) $(CHECK);; esac

.PHONY: bench-data
bench-data: $(CLUSTER) $(PEERS)/s5cmd ## measure fetch and publish beside s5cmd, on a MinIO of their own (BENCH='--rounds 3' for less)
	@go build -ldflags "-s -w" -o $(BIN)/stage ./functions/stage
	@go run ./e2e/bench/data --stage $(BIN)/stage --s5cmd $(PEERS)/s5cmd --minio $$($(CLUSTER) bin minio)/minio $(BENCH)

.PHONY: bench-mounts
bench-mounts: build deploy images $(PEERS)/s5cmd ## measure the start of a component that mounts 2 GiB in 1,000 files beside s5cmd (BENCH='--rounds 3' for less)
	@$(IN_CLUSTER); go run ./e2e/bench/mounts --s5cmd $(PEERS)/s5cmd $(BENCH)

# What predict is measured against, all of it Debian's; orjson where Debian has it.
PYTHON_PEERS := python3-fastapi python3-uvicorn python3-uvloop python3-httptools python3-pydantic python3-flask python3-gunicorn python3-aiohttp python3-prometheus-client python3-numpy
.PHONY: bench-inference
bench-inference: ## measure predict beside FastAPI, Flask and aiohttp (BENCH='--only 1k' for some of it)
	@dpkg -s $(PYTHON_PEERS) >/dev/null 2>&1 || { [ $$(id -u) = 0 ] && apt-get update -q && apt-get install -y -q --no-install-recommends $(PYTHON_PEERS) \
	  && { [ -z "$$(apt-cache search --names-only '^python3-orjson$$')" ] || apt-get install -y -q --no-install-recommends python3-orjson; }; } >&2
	@go build -o $(BIN)/inference ./functions/inference
	@go run ./e2e/bench/inference --server $(BIN)/inference $(BENCH)

.PHONY: bench-dev
bench-dev: build-dev ## measure unip dev beside bare processes: the first answer, a run of stages, memory (BENCH='--rounds 3' for less)
	@/usr/bin/python3 -c 'import sklearn' 2>/dev/null || { [ $$(id -u) = 0 ] || { echo "install python3-sklearn, or run this as root" >&2; exit 1; }; apt-get update -q && apt-get install -y -q --no-install-recommends python3-sklearn; } >&2
	@go run ./e2e/bench/dev $(BENCH)

.PHONY: clean
clean: ## remove what was built here (the cluster's cache stays: cluster-down, then remove unip in your cache folder)
	@rm -rf $(BIN)
