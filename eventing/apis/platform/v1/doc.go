// Package v1 holds the Go types of the platform kinds that live in the cluster as custom resources,
// group unified-platform.cs.hse.ru, version v1.
//
// DataBox is one: the translator writes it with the defaults of its manifest filled in, and the
// controller makes the bucket and the credentials. DatasetComponent is the other: it says what of a
// box other modules may read. The other platform kinds exist only as manifests; the translator turns
// them into Knative's.
//
// +kubebuilder:object:generate=true
// +groupName=unified-platform.cs.hse.ru
package v1

//go:generate go tool -modfile=../../../../.ci/tools/go.mod controller-gen object paths=.
//go:generate sh -c "go tool -modfile=../../../../.ci/tools/go.mod controller-gen crd:maxDescLen=400 paths=. output:stdout | go run ../../../quantity/bound > ../../../../config/200-databox.yaml"
