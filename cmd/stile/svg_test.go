package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows"
)

// In a picture of thirty steps with branches, jumps and failures no box lies on another, and it is well-formed.
func TestPicture(t *testing.T) {
	t.Parallel()
	g := flows.Graph{Flow: `a "big" <flow>`}
	const n = 30
	for i := range n {
		g.Nodes = append(g.Nodes, flows.GraphNode{ID: fmt.Sprintf("s%d", i), Kind: "step", Type: "<&>" + strings.Repeat("x", 80)})
		for _, to := range []int{i + 1, i + 3, i / 2, i - 4} {
			if to >= 0 && to < n && to != i {
				g.Edges = append(g.Edges, flows.GraphEdge{From: fmt.Sprintf("s%d", i), To: fmt.Sprintf("s%d", to), Kind: "next", Label: `a < b && "c"`})
			}
		}
	}
	type box struct{ x, y, w, h float64 }
	var boxes []box
	picture := svg(g)
	for d := xml.NewDecoder(strings.NewReader(string(picture))); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			v := map[string]float64{}
			for _, a := range e.Attr {
				var f float64
				if _, err := fmt.Sscan(a.Value, &f); err == nil {
					v[a.Name.Local] = f
				}
			}
			boxes = append(boxes, box{v["x"], v["y"], v["width"], v["height"]})
		}
	}
	if len(boxes) != n {
		t.Fatalf("%d boxes", len(boxes))
	}
	for i, a := range boxes {
		if a.x < 0 || a.y < 0 {
			t.Errorf("box %d is outside", i)
		}
		for j, b := range boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("boxes %d and %d overlap", i, j)
			}
		}
	}
	if string(svg(g)) != string(picture) {
		t.Error("drawn again it is another picture")
	}
	if strings.Contains(string(picture), strings.Repeat("x", longest)) && !strings.Contains(string(picture), "…") {
		t.Error("long text is not cut")
	}
}
