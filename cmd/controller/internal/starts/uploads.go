package starts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/runstorage"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/eventing/start"
)

// File is a user's file in a box, as somebody names it.
type File = start.File

// rule is an on-upload rule of a pipeline.
type rule struct{ start.Rule }

// teller is who speaks of a file, and so how far that counts.
type teller int

const (
	// byEvent: an event, which anybody in the cluster may have made up.
	byEvent teller = iota
	// byDeadLetter: an event that was not taken, and may be made up as well.
	byDeadLetter
	// byS3: the S3 server, with its token.
	byS3
	// bySweep: a look through the box, which sees old files as well as new ones.
	bySweep
)

// lateEvents is how much older than a rule a file may be of which an event tells: the pipeline was
// there for a while before the controller saw it.
const lateEvents = 10 * time.Minute

// holds reports whether the rule held when the file came.
func (r rule) holds(came time.Time, by teller) bool {
	since, ok := r.Pipeline.Status.Uploads.Since(r.RuleID)
	switch by {
	case byS3: // its notification is as new as the file
		return true
	case bySweep: // the second in which the rule was seen may have been before it
		return ok && came.After(since)
	default: // one that the controller has not seen before is new
		return !ok || came.After(since.Add(-lateEvents))
	}
}

// Upload starts a run of a pipeline for a file that a rule of it may be about, by its place in the
// list. It takes nothing but names from who tells it: whether the file is there, whose it is and
// which version is found out in S3. A file that is not there, or that the rule is not about, is no
// error and starts nothing.
func (s *Maker) Upload(ctx context.Context, namespace, pipeline string, index int, user, file string) error {
	p := &runtimev1.Pipeline{}
	// From the cache: whoever tells of an upload may have made it up, and until a rule is about it,
	// it costs nothing.
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: pipeline}, p); err != nil {
		return client.IgnoreNotFound(err)
	}
	if index < 0 || index >= len(p.Spec.OnUpload) || p.DeletionTimestamp != nil {
		return nil
	}
	r := rule{start.Rule{Pipeline: p, UploadRule: p.Spec.OnUpload[index], RuleID: p.Spec.OnUpload[index].ID()}}
	f := File{Namespace: namespace, Box: r.Box, User: user, Path: file}
	if !f.Possible() || !r.Meets(f.Box, f.Path) {
		return nil
	}
	if err := s.uploads().Wait(ctx, namespace); err != nil {
		return fmt.Errorf("uploads of %s: %w", namespace, err)
	}
	return s.startAll(ctx, f, []rule{r}, byEvent)
}

// DeadLetter starts what an event should have that was not taken. Its names may be made up.
func (s *Maker) DeadLetter(ctx context.Context, f File) error {
	rules, err := s.rulesFor(ctx, f)
	if err != nil || len(rules) == 0 {
		return err
	}
	if err := s.uploads().Wait(ctx, f.Namespace); err != nil {
		return fmt.Errorf("uploads of %s: %w", f.Namespace, err)
	}
	return s.startAll(ctx, f, rules, byDeadLetter)
}

// Told starts what a file should, of which the S3 server has told and whose event has not come back.
func (s *Maker) Told(ctx context.Context, f File) error {
	rules, err := s.rulesFor(ctx, f)
	if err != nil || len(rules) == 0 {
		return err
	}
	return s.startAll(ctx, f, rules, byS3)
}

// Started reports whether every start of a file, of which the S3 server told at that time, is known
// to have been made. It asks nobody: false may only mean that another replica made them.
func (s *Maker) Started(ctx context.Context, f File, told time.Time) (bool, error) {
	rules, err := s.rulesFor(ctx, f)
	if err != nil {
		return false, err
	}
	for _, r := range rules {
		if !s.settled.after(settlement{f, r.Pipeline.Name, r.RuleID}, told) {
			return false, nil
		}
	}
	return true, nil
}

// rulesFor are the rules that a file meets.
func (s *Maker) rulesFor(ctx context.Context, f File) ([]rule, error) {
	if !f.Possible() {
		return nil, nil
	}
	var all runtimev1.PipelineList
	if err := s.Client.List(ctx, &all, client.InNamespace(f.Namespace)); err != nil {
		return nil, fmt.Errorf("reading the Pipelines: %w", err)
	}
	var found []rule
	for i := range all.Items {
		for _, r := range rulesOf(&all.Items[i]) {
			if r.Meets(f.Box, f.Path) {
				found = append(found, r)
			}
		}
	}
	return found, nil
}

// rulesOf are the rules of a pipeline, each once.
func rulesOf(p *runtimev1.Pipeline) []rule {
	if p.DeletionTimestamp != nil {
		return nil
	}
	var all []rule
	for _, r := range start.Rules(p) {
		all = append(all, rule{r})
	}
	return all
}

// startAll starts what a file should by these rules, and remembers that it has.
func (s *Maker) startAll(ctx context.Context, f File, rules []rule, by teller) error {
	began := time.Now()
	at, known := s.proofs.get(f.Namespace, f.Box, began)
	if !known || by == byEvent {
		store, err := s.Settings.Open(s.Transport)
		if err != nil {
			return err
		}
		at, err = s.box(ctx, store, f.Namespace, f.Box)
		var refusal *boxes.Refusal
		switch {
		case errors.As(err, &refusal) && !refusal.Wait:
			ctrl.LoggerFrom(ctx).Info("an upload starts no run", "namespace", f.Namespace, "box", f.Box, "reason",
				refusal.Reason)
			s.settled.add(f, rules, began)
			return nil
		case err != nil:
			return fmt.Errorf("looking for the uploaded file: %w", err)
		}
		s.proofs.put(f.Box, at, began)
	}
	if at.box.Dataset { // no user's files are in it
		s.settled.add(f, rules, began)
		return nil
	}
	o, err := at.store.StatObject(ctx, at.box.Name, f.Key(), minio.StatObjectOptions{})
	if s3client.IsMissing(err) {
		s.settled.add(f, rules, began) // it was removed meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the uploaded file: %w", err)
	}
	origin, err := runstorage.Origin(ctx, at.store.Client, at.runs, f.Key(), o)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rules {
		err := s.start(ctx, at, f, r, o, origin, by)
		if err == nil {
			s.settled.add(f, []rule{r}, began)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// start starts the run of one rule for a file that is there.
func (s *Maker) start(ctx context.Context, at place, f File, r rule, o minio.ObjectInfo, origin *stage.Origin,
	by teller) error {
	if !r.holds(o.LastModified.Truncate(time.Second), by) {
		return nil
	}
	version := r.VersionKey(f, at.box.Name, o.ETag, o.LastModified)
	key := r.Key(f, at.box.Name, o.ETag, o.LastModified, origin)
	x := draft{Record: r.Upload(f, o.ETag, key), labels: start.Labels(r.Pipeline), uploaded: o.LastModified}
	if by != byEvent {
		x.lost = "upload of " + f.Path
	}
	old, err := s.startedBefore(ctx, at, f, r, o, x)
	if err != nil {
		return err
	}
	if !old {
		made, err := s.once(ctx, at, key, x)
		if err != nil {
			return err
		}
		if made {
			count(by)
		}
	}
	if by == bySweep && (old || key != version) { // so that the next sweep finds it by what a listing tells
		x.Created = true
		return at.write(ctx, version, x)
	}
	return nil
}

// startedBefore looks for a start record of an earlier release, whose key had the rule's place in the
// list and not its content. It completes one that had only been begun.
func (s *Maker) startedBefore(ctx context.Context, at place, f File, r rule, o minio.ObjectInfo, x draft) (bool,
	error) {
	if !mayHaveOld(r.Pipeline, o.LastModified) {
		return false, nil
	}
	for _, key := range oldKeys(at, f, r, o) {
		known, err := at.record(ctx, key)
		if err != nil {
			return false, err
		}
		if known == nil || !sameRule(known, r) || known.Spec.Inputs[r.Input] != x.Spec.Inputs[r.Input] {
			continue
		}
		if !known.Created {
			return true, s.make(ctx, at, key, *known)
		}
		return true, nil
	}
	return false, nil
}

// maxRules is the CRD's bound.
const maxRules = 16

// mayHaveOld reports a file that an earlier release may have started something for.
func mayHaveOld(p *runtimev1.Pipeline, came time.Time) bool {
	u := p.Status.Uploads
	if u == nil {
		return p.Status.ObservedGeneration > 0 // it has not been looked at since the upgrade
	}
	// Replicas of both releases may have been at work for a while.
	return u.Upgraded && came.Before(u.SeenTime.Add(lateEvents))
}

// oldKeys are the keys that an earlier release may have given a start, wherever the rule stood.
func oldKeys(at place, f File, r rule, o minio.ObjectInfo) []string {
	version := o.VersionID
	if version == "" {
		version = o.ETag + "@" + o.LastModified.UTC().Truncate(time.Second).Format(time.RFC3339Nano)
	}
	var all []string
	for i := range maxRules {
		all = append(all, names.Hash(f.Namespace, r.Pipeline.Name, strconv.Itoa(i), at.box.Name, f.Key(), version))
	}
	return all
}

// sameRule reports whether a start record is of a rule with this content.
func sameRule(x *draft, r rule) bool {
	if _, ok := x.Spec.Inputs[r.Input]; !ok || len(x.Spec.Outputs) != len(r.Outputs) {
		return false
	}
	for _, o := range r.Outputs {
		if x.Spec.Outputs[o.Variable] != o.Place() {
			return false
		}
	}
	return x.Spec.Origin == runtimev1.OriginUpload && x.Pipeline == r.Pipeline.Name
}
