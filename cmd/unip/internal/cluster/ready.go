package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// awaited are the kinds with a condition Ready.
var awaited = map[string]bool{
	"DataBox": true, "Service": true, "Broker": true, "Trigger": true, "Pipeline": true, "PingSource": true,
}

// unseen is the reason of an object of which nothing is known.
const unseen = "not looked at yet"

// readiness is what an object says of itself: ready, and if not why. Of an older generation it says
// nothing.
func readiness(o *Object) (ready bool, why string) {
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	if observed < o.GetGeneration() {
		return false, unseen
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	why = "no condition Ready yet"
	for _, x := range conditions {
		c, _ := x.(map[string]any)
		if c["type"] != "Ready" {
			continue
		}
		if c["status"] == "True" {
			return true, ""
		}
		why = strings.TrimSpace(fmt.Sprintf("%v %v", orEmpty(c["reason"]), orEmpty(c["message"])))
		if why == "" {
			why = "not ready yet"
		}
	}
	return false, why
}

// readyMessage is what the condition Ready says, whatever it is.
func readyMessage(o *Object) string {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, x := range conditions {
		if c, _ := x.(map[string]any); c["type"] == "Ready" {
			return fmt.Sprint(orEmpty(c["message"]))
		}
	}
	return ""
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// AwaitReady waits until all objects that have a condition Ready say so, and tells of each, and of
// each new reason why one is not. At the end of the context the error, an ErrNotReady, names those
// that are left, with their reasons.
func (c *Cluster) AwaitReady(ctx context.Context, objects []*Object, tell func(object, news string)) error {
	why := map[string]string{}
	var waiting []*Object
	for _, o := range objects {
		if k := o.GroupVersionKind(); awaited[k.Kind] && k.Group != "" {
			waiting = append(waiting, o)
		}
	}
	err := poll(ctx, func() (bool, error) {
		var left []*Object
		for _, o := range waiting {
			live, err := c.get(ctx, o)
			if err != nil {
				return false, err
			}
			ready, reason := false, "it is gone"
			if live != nil {
				ready, reason = readiness(live)
			}
			if ready {
				tell(Name(o), "ready")
				continue
			}
			if reason != why[Name(o)] {
				tell(Name(o), reason)
			}
			why[Name(o)] = reason
			left = append(left, o)
		}
		waiting = left
		return len(left) == 0, nil
	})
	if err == nil || ctx.Err() == nil {
		return err // not time has run out, a call has failed
	}
	errs := []error{ErrNotReady}
	for _, o := range waiting {
		errs = append(errs, fmt.Errorf("%s: %s", Name(o), cmp.Or(why[Name(o)], unseen)))
	}
	return errors.Join(errs...)
}
