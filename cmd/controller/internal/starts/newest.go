package starts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// maxNewest bounds the start records that are read to find the newest of each rule.
const maxNewest = 2000

// Newest finds the time of the newest start record of each rule of a pipeline, by the rule's ID. A
// rule of which there is none among the module's newest records is left out.
func (s *Maker) Newest(ctx context.Context, p *runtimev1.Pipeline) (map[string]time.Time, error) {
	rules, newest := rulesOf(p), map[string]time.Time{}
	if len(rules) == 0 {
		return newest, nil
	}
	store, err := s.Settings.Open(s.Transport)
	if err != nil {
		return nil, err
	}
	at, err := s.module(ctx, store, p.Namespace)
	if err != nil {
		return nil, err
	}
	type dated struct {
		key string
		at  time.Time
	}
	var all []dated
	trim := func() {
		slices.SortFunc(all, func(a, b dated) int { return b.at.Compare(a.at) })
		all = slices.Clip(all[:min(len(all), maxNewest)])
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range store.ListObjects(ctx, at.runs, minio.ListObjectsOptions{Prefix: records, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("listing the start records: %w", o.Err)
		}
		if all = append(all, dated{o.Key, o.LastModified}); len(all) >= 2*maxNewest {
			trim()
		}
	}
	trim()
	for _, d := range all {
		x, err := at.read(ctx, d.key)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if _, known := newest[r.RuleID]; !known && x != nil && sameRule(x, r) && aboutRule(x, r) {
				newest[r.RuleID] = d.at
			}
		}
		if len(newest) == len(rules) {
			break
		}
	}
	return newest, ctx.Err()
}

// aboutRule reports whether the file of a start record is one that the rule meets.
func aboutRule(x *draft, r rule) bool {
	place, err := databox.ParsePlace(x.Spec.Inputs[r.Input].Path)
	return err == nil && !place.Developer && r.Meets(place.Box, strings.TrimSuffix(place.Path, "/"))
}
