package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/module"
)

// uploadAgain is the pause before an upload is looked at again that could not be dealt with.
const uploadAgain = time.Second

// runs is the engine of the module's runs, with what tells it of uploads. end ends all of it. Without
// it nothing that was accepted would go on: how it ends by itself comes by failed.
func (p *place) runs(m *module.Module, config installation.Config, failed chan<- error) (
	e *engine.Engine, end func(), err error,
) {
	tell, endEvents, err := p.events()
	if err != nil {
		return nil, nil, err
	}
	o := engine.Options{
		Module: m, Dir: filepath.Join(p.state, "engine"), Code: p.dir, Python: p.python, Parallel: p.options.Parallel,
		Session: p.storage.Session(databox.UsualBuckets.Runs(m.Namespace), ""), Times: config.Runs,
		Defaults: config.Defaults, Logger: p.out.log("run", nil), Happened: p.happened, Event: tell,
	}
	if p.options.Engine != dev.Engines[0] {
		o.Containers, o.ContainerFlags = p.options.Engine, p.options.EngineFlags
	}
	if e, err = engine.Open(o); err != nil {
		endEvents()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served, uploads := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		switch err := e.Serve(ctx); {
		case ctx.Err() == nil:
			failed <- fmt.Errorf("the engine of runs has ended: %w", err)
		case err != nil:
			p.out.log("run", nil).Warn("the engine of runs ends", "error", err)
		}
	}()
	go func() {
		defer close(uploads)
		p.uploads(ctx, e)
	}()
	return e, func() {
		cancel()
		<-served
		<-uploads
		endEvents()
	}, nil
}

// uploads gives the engine what comes into the boxes, and forgets it when the engine has recorded what
// follows from it.
func (p *place) uploads(ctx context.Context, e *engine.Engine) {
	log := p.out.log("upload", nil)
	var late []storage.Object // could not be dealt with yet; they hold back no others
	again := time.NewTicker(uploadAgain)
	defer again.Stop()
	look := func(o storage.Object) error {
		err := e.Uploaded(ctx, o.Bucket, o.Key)
		if err == nil {
			err = p.storage.Done(o)
		}
		if err != nil {
			late = append(late, o)
		}
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return
		case o, more := <-p.storage.Objects():
			if !more {
				return
			}
			if err := look(o); err != nil && ctx.Err() == nil {
				log.Warn("an upload is looked at again, until that goes well", "key", o.Key, "error", err)
			}
		case <-again.C:
			before := late
			late = nil
			for _, o := range before {
				_ = look(o) // it has been told
			}
		}
	}
}

// happened tells what the engine tells.
func (p *place) happened(x engine.Happening) {
	h := Happening{Time: x.Time, Kind: x.Kind, Names: map[string]string{}, Seconds: x.Seconds,
		Failed: x.State == "Failed"}
	if x.Kind == engine.KindNote {
		h.Kind = kindLog
	}
	for name, value := range map[string]string{
		"pipeline": x.Pipeline, "run": x.Run, "stage": x.Stage, "box": x.Box, "user": x.User, "file": x.File,
		"state": string(x.State), "origin": x.Origin,
	} {
		if value != "" {
			h.Names[name] = value
		}
	}
	var words []string
	add := func(all ...string) {
		for _, w := range all {
			if w != "" {
				words = append(words, w)
			}
		}
	}
	switch x.Kind {
	case engine.KindUpload, engine.KindOutput:
		place := databox.Place{Box: x.Box, Path: x.File, Developer: x.User == ""}
		add(place.String())
		if x.User != "" {
			add("of " + x.User)
		} else {
			h.Kind = engine.KindOutput // what the developer or a stage has put there
		}
	case engine.KindStage:
		add(x.Run, x.Stage)
		if x.Attempt > 1 {
			h.Names["attempt"] = strconv.Itoa(x.Attempt)
			add(fmt.Sprintf("(attempt %d)", x.Attempt))
		}
	default:
		add(x.Pipeline, x.Run)
	}
	add(string(x.State))
	if x.Seconds > 0 {
		add("after " + time.Duration(x.Seconds*float64(time.Second)).Round(time.Millisecond).String())
	}
	add(x.Text)
	h.Text = strings.Join(words, " ")
	p.out.tell(h)
}

// events tells the module's CloudEvents, where that is asked for, and sends them to the sink.
func (p *place) events() (tell func(cloudevents.Event), end func(), err error) {
	if p.options.Sink == "" {
		return p.tellEvent, func() {}, nil
	}
	sink, err := events.NewPublisher(func(context.Context, string) (string, error) { return p.options.Sink, nil })
	if err != nil {
		return nil, nil, err
	}
	log := p.out.log("event", nil)
	return func(e cloudevents.Event) {
		p.tellEvent(e)
		err := sink.Publish("", e, func(err error) {
			if err != nil {
				log.Warn("the sink has not taken an event", "id", e.ID(), "type", e.Type(), "error", err)
			}
		})
		if err != nil {
			log.Warn("an event is not sent to the sink", "id", e.ID(), "type", e.Type(), "error", err)
		}
	}, sink.Close, nil
}

func (p *place) tellEvent(e cloudevents.Event) {
	if !p.options.Events {
		return
	}
	whole, err := json.Marshal(e)
	if err != nil {
		p.out.log("event", nil).Warn("an event cannot be shown", "id", e.ID(), "error", err)
		return
	}
	p.out.tell(Happening{Time: e.Time(), Kind: "event", Text: e.Type() + " " + e.Subject(), Event: whole})
}
