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
	a, err := m.Call(ctx, Request{Method: http.MethodPut,
		Path: "/" + m.Namespace + "/files/" + path + "?overwrite=true", User: user, Password: password})
	if err != nil {
		return err
	}
	var link struct {
		Put string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(a.Body, &link); err != nil || link.Put == "" {
		return fmt.Errorf("the file API answered %d: %s", a.Status, a.Body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link.Put, bytes.NewReader(data))
	if err != nil {
		return err
	}
	_, err = fetch(req)
	return err
}

// Download fetches a user's file.
func (m *Module) Download(ctx context.Context, user, password, path string) ([]byte, error) {
	a, err := m.Call(ctx, Request{Method: http.MethodGet, Path: "/" + m.Namespace + "/files/" + path, User: user,
		Password: password})
	if err != nil {
		return nil, err
	}
	var link struct {
		Get string `json:"presigned_get_url"`
	}
	if err := json.Unmarshal(a.Body, &link); err != nil || link.Get == "" {
		return nil, fmt.Errorf("the file API answered %d: %s", a.Status, a.Body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.Get, nil)
	if err != nil {
		return nil, err
	}
	return fetch(req)
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
