package installation

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/distribution/reference"
)

// Release is what modules run of unip itself: its images, and the worker that belongs to them. An
// installation publishes its own as the ConfigMap names.Release, so that an author needs neither
// unip's sources nor the same unip.
type Release struct {
	// Version is what the installation calls itself, such as v1.2.3; "" for what is no release.
	Version string
	// Inference and Gateway are images by digest.
	Inference, Gateway string
	// Worker are the files of the worker, worker.py and what it reads.
	Worker map[string][]byte
}

// The keys of the ConfigMap. A file of the worker has its own name, which ends in .py.
const (
	versionKey   = "version"
	inferenceKey = "inference-image"
	gatewayKey   = "gateway-image"
	workerFiles  = ".py"
)

// Data is the release as the data of a ConfigMap.
func (r Release) Data() map[string]string {
	data := map[string]string{inferenceKey: r.Inference, gatewayKey: r.Gateway}
	if r.Version != "" {
		data[versionKey] = r.Version
	}
	for name, text := range r.Worker {
		data[name] = string(text)
	}
	return data
}

// ParseRelease reads the data of a ConfigMap.
func ParseRelease(data map[string]string) (Release, error) {
	r := Release{Version: data[versionKey], Inference: data[inferenceKey], Gateway: data[gatewayKey],
		Worker: map[string][]byte{}}
	for name, text := range data {
		if path.Ext(name) == workerFiles {
			r.Worker[name] = []byte(text)
		}
	}
	return r, r.Check()
}

// Check finds what is missing: a release has both images, by digest, and a worker.
func (r Release) Check() error {
	var errs []error
	for _, x := range []struct{ key, image string }{{inferenceKey, r.Inference}, {gatewayKey, r.Gateway}} {
		ref, err := reference.ParseAnyReference(x.image)
		if _, digested := ref.(reference.Digested); err != nil || !digested || strings.HasPrefix(x.image, "ko://") {
			errs = append(errs, fmt.Errorf("%s: %q is not an image by digest", x.key, x.image))
		}
	}
	if len(r.Worker) == 0 {
		errs = append(errs, errors.New("there is no file of the worker"))
	}
	return errors.Join(errs...)
}
