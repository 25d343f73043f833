package show

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/digits"
)

// Module is the module as its user has it.
type Module interface {
	Upload(ctx context.Context, path string, data []byte) error
	// Predict has the function read an image.
	Predict(ctx context.Context, image Image) (digits []int, took time.Duration, err error)
	// Guess calls predict with a wrong password.
	Guess(ctx context.Context) (status int, body []byte, err error)
}

// Image is the function's input: numbers of a shape, or a FILE.
type Image struct {
	Datatype string
	Shape    []int
	Data     any
}

// Calls are those of the function, with digits that the model has never seen.
type Calls struct {
	Module  Module
	HeldOut digits.HeldOut
}

func (c *Calls) predict(ctx context.Context, images ...[]float64) ([]int, time.Duration, error) {
	return c.Module.Predict(ctx,
		Image{Datatype: "FP32", Shape: []int{len(images), 8, 8}, Data: slices.Concat(images...)})
}

// First is the one that wakes the function.
func (c *Calls) First(ctx context.Context) (string, error) {
	image, digit := c.HeldOut.Images[0], c.HeldOut.Digits[0]
	read, took, err := c.predict(ctx, image)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%sread as %v, is %d; answered after %.2f s ", digits.Drawn(image), read, digit,
		took.Seconds()), nil
}

// Further are those after it.
func (c *Calls) Further() []Step {
	return []Step{
		{"call it again, warm", c.warm},
		{"send 100 digits that were not in the training data", c.accuracy},
		{"put a picture of ten digits into the box, and send its name", c.picture},
		{"a wrong password", c.refused},
	}
}

func (c *Calls) warm(ctx context.Context) (string, error) {
	read, took, err := c.predict(ctx, c.HeldOut.Images[1])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("read as %v, is %d; answered after %.1f ms ", read, c.HeldOut.Digits[1],
		float64(took.Microseconds())/1000), nil
}

func (c *Calls) accuracy(ctx context.Context) (string, error) {
	read, _, err := c.predict(ctx, c.HeldOut.Images...)
	if err != nil {
		return "", err
	}
	right, err := c.HeldOut.Right(read)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d are right ", right, len(read)), nil
}

// picture sends digits as a picture: the caller puts it into the users' box, and the function gets
// its path.
func (c *Calls) picture(ctx context.Context) (string, error) {
	const n, path = 10, "userdata/pictures/ten.png"
	b, err := digits.InOnePicture(c.HeldOut.Images[:n])
	if err != nil {
		return "", err
	}
	if err := c.Module.Upload(ctx, path, b); err != nil {
		return "", err
	}
	read, _, err := c.Module.Predict(ctx, Image{Datatype: "FILE", Data: path})
	if err != nil {
		return "", err
	}
	want, _, err := c.predict(ctx, c.HeldOut.Images[:n]...)
	if err != nil {
		return "", err
	}
	if !slices.Equal(read, want) {
		return "", fmt.Errorf("the picture is read as %v, its numbers as %v", read, want)
	}
	return fmt.Sprintf("read as %v ", read), nil
}

func (c *Calls) refused(ctx context.Context) (string, error) {
	status, body, err := c.Module.Guess(ctx)
	if err != nil {
		return "", err
	}
	if status != http.StatusUnauthorized {
		return "", fmt.Errorf("a wrong password was answered with %d: %s", status, body)
	}
	return "401 ", nil
}

// Report says what the report of a run says.
func Report(b []byte) (string, error) {
	var report struct {
		Accuracy map[string]float64 `json:"accuracy"`
		Best     string             `json:"best"`
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return "", fmt.Errorf("reading the report: %w", err)
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(report.Accuracy)) {
		all = append(all, fmt.Sprintf("%s %.3f", name, report.Accuracy[name]))
	}
	return strings.Join(all, ", ") + ": " + report.Best + " is the model ", nil
}
