package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	pod "github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/functions/inference/internal/mountbox"
	"github.com/unip-knative/unip/functions/inference/service"
)

// mountsOf are the folders that connectedBoxes mount, nil without some.
func mountsOf(o options, log *slog.Logger) (*service.Mounts, error) {
	if o.mounts == "" {
		return nil, nil
	}
	var all pod.Mounts
	if err := json.Unmarshal([]byte(o.mounts), &all); err != nil {
		return nil, fmt.Errorf("--mounts: %w", err)
	}
	boxes := &mountbox.Boxes{Mounts: all, Dir: o.mountDir, Sessions: o.mountSessions, Log: log}
	if err := boxes.Prepare(); err != nil {
		return nil, err
	}
	return &service.Mounts{Mounts: all, Dir: o.mountDir, Storage: boxes}, nil
}
