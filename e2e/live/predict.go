package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// Variable is one element of a call's inputs or outputs.
type Variable struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype,omitempty"`
	Shape    json.RawMessage `json:"shape,omitempty"`
	Data     json.RawMessage `json:"data"`
}

// Answer is what a call brought back.
type Answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	Outputs []Variable `json:"outputs"`
	Took    time.Duration
}

// Output returns the data of the named output, decoded into v.
func (a *Answer) Output(name string, v any) error {
	for _, o := range a.Outputs {
		if o.Name == name {
			return json.Unmarshal(o.Data, v)
		}
	}
	return fmt.Errorf("no output %q in %d %s", name, a.Status, a.Body)
}

// Request is one call of a module's API.
type Request struct {
	Method, Path   string // the path below the host, the namespace included
	User, Password string // no Authorization when both are empty
	Header         http.Header
	Body           any    // Raw, or what is encoded as JSON; nil for none
	Host           string // default: the module's
}

// Raw is a body that is sent as it is.
type Raw []byte

// Call sends a request through the cluster's ingress. Statuses other than 2xx are answers, not
// errors. An empty 502 is the local ingress' own: it found a connection refused by a pod that has
// just gone, which other ingresses try again themselves; so GET and PUT are sent again here.
func (m *Module) Call(ctx context.Context, r Request) (*Answer, error) {
	for range 3 {
		a, err := m.call(ctx, r)
		if err != nil || a.Status != http.StatusBadGateway || len(a.Body) > 0 ||
			(r.Method != http.MethodGet && r.Method != http.MethodPut) {
			return a, err
		}
	}
	return m.call(ctx, r)
}

func (m *Module) call(ctx context.Context, r Request) (*Answer, error) {
	host := r.Host
	if host == "" {
		var err error
		if host, err = m.Host(ctx); err != nil {
			return nil, err
		}
	}
	var body io.Reader
	if raw, ok := r.Body.(Raw); ok {
		body = bytes.NewReader(raw)
	} else if r.Body != nil {
		b, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, m.Ingress+r.Path, body)
	if err != nil {
		return nil, err
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	for k, v := range r.Header {
		req.Header[k] = v
	}
	if r.User != "" || r.Password != "" {
		req.SetBasicAuth(r.User, r.Password)
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	a.Took = time.Since(start)
	if resp.StatusCode == http.StatusOK {
		_ = json.Unmarshal(a.Body, a) // not every answer has outputs
	}
	return a, nil
}

// Host is the host name under which the cluster's ingress serves the module.
func (m *Module) Host(ctx context.Context) (string, error) {
	own, err := m.OwnHost(ctx)
	if err == nil && m.site != "" {
		return m.site, nil
	}
	return own, err
}

// OwnHost is that of the module's gateway.
func (m *Module) OwnHost(ctx context.Context) (string, error) {
	var all servingv1.ServiceList // by its label, for a module's names may have been prefixed
	if err := m.List(ctx, &all, client.InNamespace(m.Namespace),
		client.MatchingLabels{label.Component: names.Gateway}); err != nil {
		return "", fmt.Errorf("finding the gateway: %w", err)
	}
	if len(all.Items) != 1 {
		return "", fmt.Errorf("%s has %d gateways", m.Namespace, len(all.Items))
	}
	s := all.Items[0]
	if s.Status.URL == nil {
		return "", fmt.Errorf("the gateway of %s has no URL yet", m.Namespace)
	}
	return s.Status.URL.Host, nil
}

// Predict calls POST /<namespace>/<path>/predict.
func (m *Module) Predict(ctx context.Context, path, user, password string, inputs ...Variable) (*Answer, error) {
	if inputs == nil {
		inputs = []Variable{}
	}
	return m.Call(ctx, Request{
		Method: http.MethodPost, Path: "/" + m.Namespace + "/" + path + "/predict",
		User: user, Password: password, Body: map[string]any{"inputs": inputs},
	})
}
