package databox

import (
	"fmt"
	"time"
)

// Usage is how full a storage box is. The controller counts it and keeps it as an object in the
// installation's own bucket, where the sessions of those who write into the box may read it.
//
// It is a little behind: what is being uploaded is not in it yet.
type Usage struct {
	// Capacity is the box's space, Used what its objects take, in bytes.
	Capacity int64 `json:"capacity"`
	Used     int64 `json:"used"`
	// Counted is when all objects were counted last.
	Counted time.Time `json:"counted"`
}

// UsageRef is where the usage of a box lies.
type UsageRef struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	// Capacity is the box's space in bytes. A box that has not been counted yet counts as empty, with
	// this capacity; 0 is no bound.
	Capacity int64 `json:"capacity,omitempty"`
}

// UsageOf is where the usage of a box lies. The namespace and the box are DNS labels, so that the
// key names no other box.
func UsageOf(systemBucket, namespace, box string) UsageRef {
	return UsageRef{Bucket: systemBucket, Key: "usage/" + namespace + "/" + box + ".json"}
}

// FullError says that something does not fit into a box.
type FullError struct {
	// Need is what was to be written, Used and Capacity are the box's, in bytes.
	Need, Used, Capacity int64
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the box is full: %d of its %d bytes are used, %d more are needed, so %d are missing",
		e.Used, e.Capacity, e.Need, e.Missing())
}

// Missing is how many bytes would have to be freed.
func (e *FullError) Missing() int64 { return e.Need - max(e.Capacity-e.Used, 0) }

// Fit is nil when need more bytes fit, else a FullError. Nothing fits into a full box, not even an
// empty file: its writer could not be told from one whose size is not known.
func (u Usage) Fit(need int64) error {
	if u.Used < u.Capacity && need <= u.Capacity-u.Used {
		return nil
	}
	return &FullError{Need: max(need, 1), Used: u.Used, Capacity: u.Capacity}
}
