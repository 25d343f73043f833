// Package service is what the program stage does, without a container around it: it brings a
// stage's inputs before the user's code runs, and takes the outputs away after it. unip dev works
// with it beside processes as the program does in a pod.
package service

import (
	"context"
	"errors"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/fetch"
	"github.com/unip-knative/unip/functions/stage/internal/publish"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

// Fetch brings the inputs of a plan, which must be valid, into the volume at data. sessions is the
// folder with the S3 sessions that the plan names.
func Fetch(ctx context.Context, p *stage.FetchPlan, sessions, data string) (stage.Result, error) {
	v, err := volume.Open(data)
	if err != nil {
		return stage.Result{}, err
	}
	defer v.Close()
	return fetch.Run(ctx, open(sessions, p.PatienceSeconds), v, p)
}

// Publish takes the outputs of a plan, which must be valid, away from the volume at data. A plan
// that only completes needs no volume.
func Publish(ctx context.Context, p *stage.PublishPlan, sessions, data string) (stage.Result, error) {
	opened := open(sessions, p.PatienceSeconds)
	if p.Complete {
		return publish.Complete(ctx, opened, p)
	}
	v, err := volume.Open(data)
	if err != nil {
		return stage.Result{}, err
	}
	defer v.Close()
	return publish.Run(ctx, opened, v, p)
}

func open(sessions string, patience int64) *storage.Sessions {
	return storage.OpenSessions(sessions, storage.Limits{Patience: time.Duration(patience) * time.Second})
}

// Tell adds to a result what its error says.
func Tell(r stage.Result, err error) stage.Result {
	if err == nil {
		return r
	}
	r.Error, r.Retry = err.Error(), storage.Retry(err)
	if p, ok := errors.AsType[*storage.PatienceError](err); ok {
		r.WaitedSeconds = int64(p.Waited / time.Second)
	}
	_, r.BoxFull = errors.AsType[*databox.FullError](err)
	return r
}
