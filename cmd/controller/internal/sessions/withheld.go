package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/databox"
)

// Withhold sees to it that the Secret holds no keys, and says why. Ensure makes sessions again. The
// error is the API server's, or ErrSecret.
func (k Keeper) Withhold(ctx context.Context, want Secret, reason string, now time.Time) error {
	found := &corev1.Secret{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: want.Owner.GetNamespace(), Name: want.Name}, found)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading the credentials Secret: %w", err)
	}
	if err == nil && !ours(found, want) {
		return notOurs(want, nil)
	}
	data, same := map[string][]byte{}, err == nil && stands(found, want) && len(found.Data) == len(want.Files)
	for file, w := range want.Files {
		s := w.Told
		s.Withheld = reason
		if data[file], err = json.Marshal(s); err != nil {
			return fmt.Errorf("%w: %w", ErrSecret, err)
		}
		_, err := databox.ParseSession(found.Data[file])
		held, ok := errors.AsType[*databox.WithheldError](err)
		same = same && ok && held.Reason == reason
	}
	if same {
		return nil
	}
	return k.write(ctx, found.OwnerReferences, want, data, now)
}
