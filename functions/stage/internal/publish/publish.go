// Package publish takes a stage's outputs from files to S3 after the user's container has ended
// well.
//
// What it promises: exactly one attempt of a stage becomes visible. The files of an attempt go to a
// prefix of its own; then the commit, a PUT that fails when there is one already, decides; then the
// winner's files are copied to where the run's caller wants them. All of it may be repeated at any
// point, by this or another attempt, with the same end: a copy that is there is not made again, and
// a later file of somebody's in its place stays.
//
// Small files cost a request less: they go up in packs (stage.Pack), many in one object, and their
// copies are written out of these. A larger one the storage copies by itself. Of content no more
// than a few packs are in memory.
//
// It opens nothing but regular files below the output's folder, which is a real folder of the
// stage's volume (package volume), and publishes no file that the file API could not serve.
package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

// parallel transfers at once.
const parallel = 16

// Run does what the plan says with the files of a stage's volume. The plan must be valid.
func Run(
	ctx context.Context, sessions *storage.Sessions, v *volume.Volume, plan *stage.PublishPlan,
) (stage.Result, error) {
	p := &publisher{sessions: sessions, volume: v, plan: plan}
	mine := &stage.Commit{Attempt: plan.Attempt, Outputs: map[string][]stage.File{}, Packs: map[string][]string{},
		Folders: map[string][]string{}}
	for _, o := range plan.Outputs {
		if err := p.upload(ctx, o, mine); err != nil {
			return stage.Result{}, fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	if err := p.fits(ctx, mine); err != nil {
		return stage.Result{}, err
	}
	won, err := p.commit(ctx, mine)
	if err != nil {
		return stage.Result{}, fmt.Errorf("commit: %w", err)
	}
	return p.copy(ctx, won, won != mine)
}

// Complete makes the copies that are not there yet of the commit that the stage has already. It
// needs nothing of the volume.
func Complete(ctx context.Context, sessions *storage.Sessions, plan *stage.PublishPlan) (stage.Result, error) {
	p := &publisher{sessions: sessions, plan: plan}
	key := stage.CommitKey(plan.Run, plan.Stage)
	var won *stage.Commit
	err := sessions.Try(ctx, plan.Session, func(store *minio.Client) (err error) {
		won, err = storage.ReadCommit(ctx, store, plan.Bucket, key)
		return err
	})
	if s3.IsMissing(err) { // whoever made the plan has seen one: no reason to fail for good
		return stage.Result{}, fmt.Errorf("there is no commit at %s to complete: %s", key, err.Error())
	}
	if err != nil {
		return stage.Result{}, fmt.Errorf("commit: %w", err)
	}
	return p.copy(ctx, won, true)
}

type publisher struct {
	sessions *storage.Sessions
	volume   *volume.Volume
	plan     *stage.PublishPlan
}

// upload brings the files of one output to the attempt's own place, and says in the commit where.
func (p *publisher) upload(ctx context.Context, o stage.Output, mine *stage.Commit) error {
	root, err := p.volume.Folder(o.Name)
	if err != nil {
		return err
	}
	defer root.Close()
	has, err := walk(ctx, root, o.Paths, maxFiles)
	if err != nil {
		return err
	}
	for _, to := range o.Copies {
		for _, f := range has.files {
			if err := checkCopy(to, f.path); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(has.files, func(a, b found) int { return strings.Compare(a.path, b.path) })
	once, at := distinct(has.files)
	if err := checkRepeats(has.files, once); err != nil {
		return err
	}
	u := &uploads{publisher: p, output: o.Name, root: root, all: once, files: make([]stage.File, len(once))}
	for i, f := range once {
		u.files[i] = stage.File{Path: f.path, Size: f.size}
	}
	stage.Pack(u.files)
	if err := u.do(ctx); err != nil {
		return err
	}
	files := make([]stage.File, len(has.files))
	for i, f := range has.files {
		files[i] = u.files[at[f.id]].As(f.path)
	}
	mine.Outputs[o.Name] = files
	if len(u.packs) > 0 {
		mine.Packs[o.Name] = u.packs
	}
	if len(has.folders) > 0 {
		slices.Sort(has.folders)
		mine.Folders[o.Name] = has.folders
	}
	return nil
}

// distinct are the files without those that are one of them under another name, and where in the
// result each is.
func distinct(all []found) (once []found, at map[inode]int) {
	at = make(map[inode]int, len(all))
	for _, f := range all {
		if _, known := at[f.id]; !known {
			at[f.id] = len(once)
			once = append(once, f)
		}
	}
	return once, at
}

// maxRepeats is how many times as large links may make an output: the storage keeps what a stage
// could never have written within its limits.
const maxRepeats = 10

func checkRepeats(all, once []found) error {
	size := func(files []found) (n int64) {
		for _, f := range files {
			n += f.size
		}
		return n
	}
	if n, own := size(all), size(once); n/maxRepeats > own {
		return storage.Permanentf("links make %d bytes of its %d, and at most %d times as much is taken", n, own, maxRepeats)
	}
	return nil
}

// fits refuses outputs as a whole that do not fit into the boxes that they go to. What is there of
// them already, of a former attempt that was broken off, is counted twice then. A box that was not
// counted yet takes what an empty one does.
func (p *publisher) fits(ctx context.Context, mine *stage.Commit) error {
	need, sessions := map[databox.UsageRef]int64{}, map[databox.UsageRef]string{}
	for _, o := range p.plan.Outputs {
		for _, to := range o.Copies {
			if to.Usage == nil {
				continue
			}
			sessions[*to.Usage] = to.Session
			for _, f := range mine.Outputs[o.Name] {
				need[*to.Usage] += f.Size
			}
		}
	}
	for at, n := range need {
		var usage databox.Usage
		var counted bool
		err := p.sessions.Try(ctx, sessions[at], func(store *minio.Client) (err error) {
			usage, counted, err = s3.ReadUsage(ctx, store, at)
			return err
		})
		if !counted {
			usage.Capacity, counted = at.Capacity, at.Capacity > 0
		}
		if err == nil && counted {
			err = usage.Fit(n)
		}
		if full, ok := errors.AsType[*databox.FullError](err); ok {
			return &storage.Permanent{Err: full}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commit writes the attempt's commit unless there is one, and returns the one that counts.
func (p *publisher) commit(ctx context.Context, mine *stage.Commit) (*stage.Commit, error) {
	b, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	if len(b) > stage.MaxCommit {
		return nil, storage.Permanentf("the list of files is larger than %d bytes", stage.MaxCommit)
	}
	key := stage.CommitKey(p.plan.Run, p.plan.Stage)
	var won *stage.Commit
	err = p.sessions.Try(ctx, p.plan.Session, func(store *minio.Client) error {
		o := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}
		o.SetMatchETagExcept("*") // If-None-Match: *
		_, err := store.PutObject(ctx, p.plan.Bucket, key, bytes.NewReader(b), int64(len(b)), o)
		if err == nil {
			won = mine
			return nil
		}
		if a := s3.AnswerOf(err); a != s3.OtherVersion && a != s3.Conflict {
			return err
		}
		// It is another attempt's, or this one's when its answer was lost.
		won, err = storage.ReadCommit(ctx, store, p.plan.Bucket, key)
		return err
	})
	return won, err
}
