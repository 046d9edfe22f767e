package onetime

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/boombuler/barcode/qr"
)

const (
	quiet = 4 // modules of margin (ISO/IEC 18004 §6.3.8)
	scale = 8 // pixels of a module
)

// pictures are a QR code as data URIs.
type pictures struct{ png, svg string }

// draw makes the QR code of a text. Its errors do not hold the text, which is a secret.
func draw(text string) (pictures, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return pictures{}, errors.New("onetime: no QR code")
	}
	side := code.Bounds().Dx()
	dark := func(x, y int) bool { return code.At(x, y) == color.Black }
	raster, err := asPNG(side, dark)
	if err != nil {
		return pictures{}, err
	}
	return pictures{png: dataURI("image/png", raster), svg: dataURI("image/svg+xml", asSVG(side, dark))}, nil
}

func dataURI(typ string, data []byte) string {
	return "data:" + typ + ";base64," + base64.StdEncoding.EncodeToString(data)
}

func asPNG(side int, dark func(x, y int) bool) ([]byte, error) {
	full := (side + 2*quiet) * scale
	picture := image.NewPaletted(image.Rect(0, 0, full, full), color.Palette{color.White, color.Black})
	for y := range side * scale {
		for x := range side * scale {
			if dark(x/scale, y/scale) {
				picture.SetColorIndex(x+quiet*scale, y+quiet*scale, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("onetime: %w", err)
	}
	return b.Bytes(), nil
}

// asSVG draws each row's runs of dark modules as strokes on a white ground.
func asSVG(side int, dark func(x, y int) bool) []byte {
	var path strings.Builder
	for y := range side {
		pen := 0 // where the last stroke of this row ended; 0: there is none
		for x := 0; x < side; x++ {
			from := x
			for x < side && dark(x, y) {
				x++
			}
			switch {
			case x == from:
				continue
			case pen == 0:
				fmt.Fprintf(&path, "M%d %d.5h%d", from+quiet, y+quiet, x-from)
			default:
				fmt.Fprintf(&path, "m%d 0h%d", from-pen, x-from)
			}
			pen = x
		}
	}
	full := side + 2*quiet
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dh-%dz"/><path stroke="#000" d="%s"/></svg>`, full, full, full, full, full, path.String())
}
