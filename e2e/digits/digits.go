// Package digits has what demonstrations and benchmarks ask the module examples/digits for.
package digits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
)

// side and black are what an image of a digit has: pixels in a row, and the most ink of one.
const side, black = 8, 16

// HeldOut are digits that are not in the table from which a model learns.
type HeldOut struct {
	Images [][]float64 `json:"images"`
	Digits []int       `json:"digits"`
}

// ReadHeldOut reads what `python3 -m digits.data --held-out` has written.
func ReadHeldOut(b []byte) (HeldOut, error) {
	var h HeldOut
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("reading the held-out digits: %w", err)
	}
	return h, nil
}

// mostWrong is how many of a hundred a model that was trained may read wrongly.
const mostWrong = 5

// Right counts the right answers. Few of them are an error.
func (h HeldOut) Right(answers []int) (int, error) {
	if len(answers) != len(h.Digits) {
		return 0, fmt.Errorf("%d answers to %d digits", len(answers), len(h.Digits))
	}
	right := 0
	for i, digit := range answers {
		if digit == h.Digits[i] {
			right++
		}
	}
	if 100*(len(answers)-right) > mostWrong*len(answers) {
		return right, fmt.Errorf("only %d of %d are right: this is not the model that was trained", right, len(answers))
	}
	return right, nil
}

// Drawn is an image in characters, a line of the text for a line of pixels.
func Drawn(image []float64) string {
	var out strings.Builder
	shades := []rune(" ░░▒▒▓▓█")
	for i, v := range image {
		if i%side == 0 {
			out.WriteString("\n   ")
		}
		shade := string(shades[min(len(shades)-1, int(v)/2)])
		out.WriteString(shade + shade)
	}
	return out.String() + "\n   "
}

// InOnePicture draws images side by side, as a PNG.
func InOnePicture(images [][]float64) ([]byte, error) {
	all := image.NewGray(image.Rect(0, 0, side*len(images), side))
	for n, pixels := range images {
		for i, ink := range pixels {
			all.SetGray(n*side+i%side, i/side, color.Gray{Y: uint8(255 - 255*ink/black)})
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, all)
	return b.Bytes(), err
}
