package digits

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// read has the module examples/digits read a picture.
func read(t *testing.T, picture []byte) ([][]float64, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "digits.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "python3", "-B", "-c",
		"import json, sys; from digits import picture; print(json.dumps(picture.digits(sys.argv[1])))", file)
	c.Dir = "../../examples/digits"
	out, err := c.Output()
	if err != nil {
		var said []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said = exit.Stderr
		}
		return nil, string(said)
	}
	var digits [][]float64
	if err := json.Unmarshal(out, &digits); err != nil {
		t.Fatal(err)
	}
	return digits, ""
}

// A picture says the same as its numbers, whichever of PNG's filters and forms it is written with.
func TestPicturesAreTheirNumbers(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	images := make([][]float64, 5)
	for i := range images {
		for range side * side {
			images[i] = append(images[i], float64(r.IntN(black+1)))
		}
	}
	grey, err := InOnePicture(images)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(grey))
	if err != nil {
		t.Fatal(err)
	}
	colours := image.NewNRGBA(decoded.Bounds())
	for y := range side {
		for x := range decoded.Bounds().Dx() {
			v := decoded.At(x, y).(color.Gray).Y
			colours.SetNRGBA(x, y, color.NRGBA{v, v, v, 200}) // with an alpha, so that it is written as RGBA
		}
	}
	var rgba bytes.Buffer
	if err := png.Encode(&rgba, colours); err != nil {
		t.Fatal(err)
	}
	for name, picture := range map[string][]byte{"grey": grey, "RGBA": rgba.Bytes()} {
		got, said := read(t, picture)
		if len(got) != len(images) {
			t.Fatalf("%s: %d digits\n%s", name, len(got), said)
		}
		for i, want := range images {
			for p, v := range want {
				if math.Abs(got[i][p]-v) > 0.1 {
					t.Fatalf("%s: digit %d, pixel %d is %v, not %v", name, i, p, got[i][p], v)
				}
			}
		}
	}
}

// What is no picture of digits is refused with the reason.
func TestWhatIsNoPicture(t *testing.T) {
	t.Parallel()
	encode := func(width, height int) []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	whole := encode(side, side)
	for why, picture := range map[string][]byte{
		"is no PNG":                     []byte("GIF89a"),
		"breaks off":                    whole[:len(whole)/2],
		"has 9 x 8 pixels":              encode(side+1, side),
		"at most 2048 x 2048 pixels, 8": encode(4096, side),
	} {
		if _, said := read(t, picture); !strings.Contains(said, why) {
			t.Errorf("%s: %q", why, said)
		}
	}
}
