package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/databox/put"
)

const (
	// filesManager is the field manager of requests to write files.
	filesManager = "unip-files"
	// answerTimeout is how long a request waits for its answer, endTimeout for being taken away.
	answerTimeout, endTimeout = time.Minute, 10 * time.Second
)

// Forbidden is the reason where the API server takes no request.
const Forbidden = "Forbidden"

// PutLink asks for a link that writes an object into a box. The request is an annotation of the DataBox,
// so that who may not change the box gets nothing; end takes it away again, and must be called.
func (c *Cluster) PutLink(ctx context.Context, namespace, box string, asked put.Asked,
) (link string, end func() error, err error) {
	o := newObject(boxKind, namespace, box)
	end = func() error { return nil }
	switch err := c.annotate(ctx, o, asked.Name, asked.Value); {
	case apierrors.IsForbidden(err):
		return "", end, &put.RefusedError{Reason: Forbidden, Message: fmt.Sprintf("you may not change the DataBox %s in namespace %s, and so "+
			"not write into it: that takes a role like edit", box, namespace)}
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return "", end, &put.RefusedError{Reason: put.NotUsable, Message: fmt.Sprintf("there is no DataBox %s in namespace %s", box, namespace)}
	case err != nil:
		return "", end, fmt.Errorf("asking for a link: %w", err)
	}
	end = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		err := c.annotate(ctx, newObject(boxKind, namespace, box), asked.Name, nil)
		return client.IgnoreNotFound(err)
	}
	link, err = c.putAnswer(ctx, o, asked)
	return link, end, err
}

// annotate sets an annotation, or takes it away. Others' annotations are not looked at.
func (c *Cluster) annotate(ctx context.Context, o *Object, name string, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}})
	if err != nil {
		return err
	}
	return c.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(filesManager))
}

// putAnswer waits for the answer to a request.
func (c *Cluster) putAnswer(ctx context.Context, box *Object, asked put.Asked) (link string, err error) {
	errSilent := errors.New("no answer")
	waits, cancel := context.WithTimeoutCause(ctx, answerTimeout, errSilent)
	defer cancel()
	err = poll(waits, func() (bool, error) {
		live, err := c.get(waits, box)
		if err != nil {
			return false, err
		}
		if live == nil {
			return false, &put.RefusedError{Reason: put.NotUsable,
				Message: fmt.Sprintf("the DataBox %s was deleted", box.GetName())}
		}
		box = live
		all, _, err := unstructured.NestedSlice(live.Object, "status", "puts")
		if err != nil {
			return false, err
		}
		for _, x := range all {
			answer, _ := x.(map[string]any) // the shape is the CRD's
			if answer["request"] != asked.ID() {
				continue
			}
			if link, err = opened(answer, asked); err != nil {
				return false, err
			}
			return true, nil
		}
		return false, nil
	})
	if errors.Is(err, errSilent) {
		why := "many others are being answered, or unip's controller is not there; `unip doctor` looks"
		if ready, text := readiness(box); !ready {
			why = "it is not ready: " + text
		}
		err = fmt.Errorf("no answer about the DataBox %s within %s: %s", box.GetName(), answerTimeout, why)
	}
	return link, err
}

func opened(answer map[string]any, asked put.Asked) (string, error) {
	text := func(field string) string { s, _ := answer[field].(string); return s }
	if reason := text("reason"); reason != "" {
		return "", &put.RefusedError{Reason: reason, Message: text("message")}
	}
	sealed, err := base64.StdEncoding.DecodeString(text("link"))
	if err != nil {
		return "", fmt.Errorf("the answer is none: %w", err)
	}
	return asked.Open(sealed)
}
