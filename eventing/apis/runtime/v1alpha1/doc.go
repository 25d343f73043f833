// Package v1alpha1 holds the objects with which unip runs pipelines, group
// runtime.unified-platform.cs.hse.ru: Pipeline, which the translator makes of an
// ExperimentPipeline, PipelineRun, one run of it, and BoxPut, by which a gateway asks for a link. None
// holds a pod template: what runs in
// the cluster is decided by the controller alone.
//
// The CRDs in config/ are generated from these types: run go generate after every change.
//
// +kubebuilder:object:generate=true
// +groupName=runtime.unified-platform.cs.hse.ru
package v1alpha1

//go:generate go tool -modfile=../../../../.ci/tools/go.mod controller-gen object paths=.
//go:generate sh -c "go tool -modfile=../../../../.ci/tools/go.mod controller-gen crd:maxDescLen=200 paths=. output:stdout | go run ../../../quantity/bound > ../../../../config/201-runtime.yaml"
