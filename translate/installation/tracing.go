package installation

import (
	"errors"
	"fmt"
	"net/url"
)

// Tracing says where the spans of calls are sent.
type Tracing struct {
	// Endpoint of a collector that takes OTLP over HTTP, without /v1/traces. Default: none, and no
	// spans are made.
	Endpoint string `yaml:"endpoint"`
	// SamplingRate is the share, 0 to 1, of the calls of which their caller has not decided whether
	// they are traced. Default 0.1.
	SamplingRate float64 `yaml:"samplingRate"`
}

func (t Tracing) validate() error {
	var errs []error
	if u, err := url.Parse(t.Endpoint); t.Endpoint != "" &&
		(err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
			u.RawQuery != "" || u.Fragment != "") {
		errs = append(errs, errors.New(
			"tracing.endpoint is not a URL of the form http://host:port or https://host:port"))
	}
	if t.SamplingRate < 0 || t.SamplingRate > 1 || t.SamplingRate != t.SamplingRate { // NaN is not itself
		errs = append(errs, fmt.Errorf("tracing.samplingRate: %v is not within 0 to 1", t.SamplingRate))
	}
	return errors.Join(errs...)
}
