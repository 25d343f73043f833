package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Upload puts a file into a user's part of a box as every client does: a link from the file API,
// then the bytes to the storage. path is <box>/<group>/<file>, escaped.
func (m *Module) Upload(ctx context.Context, user, password, path string, data []byte) error {
	link, err := m.link(ctx, Request{Method: http.MethodPut,
		Path: "/" + m.Namespace + "/files/" + path + "?overwrite=true", User: user, Password: password})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, bytes.NewReader(data))
	if err != nil {
		return err
	}
	_, err = fetch(req)
	return err
}

// Download fetches a user's file.
func (m *Module) Download(ctx context.Context, user, password, path string) ([]byte, error) {
	link, err := m.link(ctx, Request{Method: http.MethodGet, Path: "/" + m.Namespace + "/files/" + path, User: user,
		Password: password})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	return fetch(req)
}

// link asks the file API for one. While the answer is to come again it does: a gateway that is older than
// its Secrets gets them within a minute or so.
func (m *Module) link(ctx context.Context, r Request) (link string, err error) {
	err = Await(ctx, 2*time.Minute, "a link of the file API", func(ctx context.Context) error {
		a, err := m.Call(ctx, r)
		if err != nil {
			return &FinalError{err}
		}
		var links struct {
			Put string `json:"presigned_put_url"`
			Get string `json:"presigned_get_url"`
		}
		err = json.Unmarshal(a.Body, &links)
		if link = links.Get; r.Method == http.MethodPut {
			link = links.Put
		}
		if err == nil && link != "" {
			return nil
		}
		err = fmt.Errorf("the file API answered %d: %s", a.Status, a.Body)
		if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
			err = &FinalError{err}
		}
		return err
	})
	return link, err
}

func fetch(req *http.Request) ([]byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the storage answered %s: %s", resp.Status, b)
	}
	return b, nil
}

// Runs are the module's runs.
func (m *Module) Runs(ctx context.Context) ([]runtimev1.PipelineRun, error) {
	var l runtimev1.PipelineRunList
	err := m.List(ctx, &l, client.InNamespace(m.Namespace))
	return l.Items, err
}

// AwaitRun waits until a run has ended; told, when it is not nil, hears of each change of a stage.
func (m *Module) AwaitRun(ctx context.Context, name string, timeout time.Duration,
	told func(runtimev1.StageStatus)) (*runtimev1.PipelineRun, error) {
	run := &runtimev1.PipelineRun{}
	states := map[string]runtimev1.State{}
	err := Await(ctx, timeout, "run "+name, func(ctx context.Context) error {
		if err := m.Get(ctx, client.ObjectKey{Namespace: m.Namespace, Name: name}, run); err != nil {
			return err
		}
		for _, st := range run.Status.Stages {
			if states[st.Name] != st.State && st.State != runtimev1.Pending && told != nil {
				told(st)
			}
			states[st.Name] = st.State
		}
		if !run.Status.State.Done() {
			return fmt.Errorf("it is %s %s", run.Status.State, run.Status.Message)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, m.Diagnose(context.WithoutCancel(ctx)))
	}
	return run, err
}

// eventingReady reports Brokers, Triggers and PingSources, and Pipelines, that are not ready.
func (m *Module) eventingReady(ctx context.Context) error {
	var errs []error
	var pipelines runtimev1.PipelineList
	if err := m.List(ctx, &pipelines, client.InNamespace(m.Namespace)); err != nil {
		return err
	}
	for _, p := range pipelines.Items {
		if !ready(p.Status.Conditions) {
			errs = append(errs, fmt.Errorf("pipeline %s is not ready", p.Name))
		}
	}
	for kind, group := range map[string]string{"Broker": "eventing.knative.dev", "Trigger": "eventing.knative.dev",
		"PingSource": "sources.knative.dev"} {
		l := &unstructured.UnstructuredList{}
		l.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind + "List"})
		if err := m.List(ctx, l, client.InNamespace(m.Namespace)); err != nil {
			return err
		}
		for _, o := range l.Items {
			conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			ok := false
			for _, c := range conditions {
				if c, is := c.(map[string]any); is && c["type"] == "Ready" {
					ok = c["status"] == "True"
				}
			}
			if !ok {
				errs = append(errs, fmt.Errorf("%s %s is not ready", kind, o.GetName()))
			}
		}
	}
	return errors.Join(errs...)
}
