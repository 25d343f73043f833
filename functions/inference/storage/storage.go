// Package storage is where a service's model, its callers' files and its mounts are: in boxes in S3.
// It is apart from package service so that a server without S3 need not carry the client.
package storage

import (
	"github.com/unip-knative/unip/functions/inference/internal/filebox"
	"github.com/unip-knative/unip/functions/inference/internal/modelbox"
	"github.com/unip-knative/unip/functions/inference/internal/mountbox"
)

// Model is a service.Source and a service.Changing, Files a service.Storage, and Mounts what keeps
// service.Mounts.
type (
	Model  = modelbox.Source
	Files  = filebox.Boxes
	Mounts = mountbox.Boxes
)
