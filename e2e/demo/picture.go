package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
)

// side and black are what an image of a digit has: pixels in a row, and the most ink of one.
const side, black = 8, 16

// inOnePicture draws images of digits side by side, as a PNG.
func inOnePicture(images [][]float64) ([]byte, error) {
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
