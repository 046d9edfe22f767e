package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"

	"github.com/stile-auth/stile/flows"
)

// Sizes of the picture, in pixels.
const (
	boxWidth, boxHeight = 190, 46
	lane                = 40 // of a way that passes a layer
	gapX, gapY          = 28, 74
	margin              = 24
	legendWidth         = 560
	lineHeight          = 14
	longest             = 30 // characters of a line; the rest is in the tooltip
)

// place is a node, or a point that a long way passes, in the picture.
type place struct {
	node  int // -1: a point on a way
	layer int
	in    []int // places in the layer above that lead here
	x, y  float64
	width float64
}

type way struct {
	edge flows.GraphEdge
	via  []int // places from its beginning to its end
}

// layout is a graph by layers: every way but those that lead back goes down.
type layout struct {
	g      flows.Graph
	places []place
	layers [][]int
	ways   []way
	back   []flows.GraphEdge
	index  map[string]int
}

// svg draws a graph as one self-contained picture without scripts. The same graph gives the same bytes.
func svg(g flows.Graph) []byte {
	l := &layout{g: g, index: map[string]int{}}
	for i, n := range g.Nodes {
		l.index[n.ID] = i
		l.places = append(l.places, place{node: i, width: boxWidth})
	}
	forward := l.split()
	l.rank(forward)
	l.route(forward)
	l.order()
	return l.picture()
}

// split takes the ways out that lead back to where they come from, in the order of the definition.
func (l *layout) split() []flows.GraphEdge {
	leaving := map[string][]flows.GraphEdge{}
	for _, e := range l.g.Edges {
		leaving[e.From] = append(leaving[e.From], e)
	}
	const open, closed = 1, 2
	state := map[string]int{}
	var forward []flows.GraphEdge
	var visit func(id string)
	visit = func(id string) {
		state[id] = open
		for _, e := range leaving[id] {
			if state[e.To] == open {
				l.back = append(l.back, e)
				continue
			}
			forward = append(forward, e)
			if state[e.To] == 0 {
				visit(e.To)
			}
		}
		state[id] = closed
	}
	for _, n := range l.g.Nodes {
		if state[n.ID] == 0 {
			visit(n.ID)
		}
	}
	return forward
}

// rank puts every node as far down as the longest way to it is long.
func (l *layout) rank(forward []flows.GraphEdge) {
	for changed := true; changed; {
		changed = false
		for _, e := range forward {
			from, to := &l.places[l.index[e.From]], &l.places[l.index[e.To]]
			if to.layer <= from.layer {
				to.layer, changed = from.layer+1, true
			}
		}
	}
}

// route gives every way a point in each layer that it passes.
func (l *layout) route(forward []flows.GraphEdge) {
	for _, e := range forward {
		from, to := l.index[e.From], l.index[e.To]
		via := []int{from}
		for layer := l.places[from].layer + 1; layer < l.places[to].layer; layer++ {
			l.places = append(l.places, place{node: -1, layer: layer, width: lane, in: []int{via[len(via)-1]}})
			via = append(via, len(l.places)-1)
		}
		l.places[to].in = append(l.places[to].in, via[len(via)-1])
		l.ways = append(l.ways, way{e, append(via, to)})
	}
}

// order places each layer by where its ways come from, and so that nothing overlaps.
func (l *layout) order() {
	for i, p := range l.places {
		for len(l.layers) <= p.layer {
			l.layers = append(l.layers, nil)
		}
		l.layers[p.layer] = append(l.layers[p.layer], i)
	}
	for _, layer := range l.layers {
		wish := map[int]float64{}
		for _, i := range layer {
			for _, in := range l.places[i].in {
				wish[i] += l.places[in].x / float64(len(l.places[i].in))
			}
		}
		slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(wish[a], wish[b]) })
		total, middle := -float64(gapX), 0.0
		for _, i := range layer {
			total += l.places[i].width + gapX
			middle += wish[i] / float64(len(layer))
		}
		x := middle - total/2
		for _, i := range layer {
			p := &l.places[i]
			p.x, p.y = x+p.width/2, margin+boxHeight/2+float64(p.layer*(boxHeight+gapY))
			x += p.width + gapX
		}
	}
	left := 0.0
	for _, p := range l.places {
		left = min(left, p.x-p.width/2)
	}
	for i := range l.places {
		l.places[i].x += margin - left
	}
}

func (l *layout) picture() []byte {
	right, bottom := 0.0, 0.0
	for _, p := range l.places {
		right, bottom = max(right, p.x+p.width/2), max(bottom, p.y+boxHeight/2)
	}
	width := right + margin + float64(len(l.back)*24)
	if len(l.back) > 0 {
		width += longest * 7
	}
	height := bottom + margin
	if legend(l.g) != "" {
		height, width = height+margin, max(width, legendWidth)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(l.g.Flow))
	b.WriteString(svgStyle)
	for _, w := range l.ways {
		l.line(&b, w)
	}
	for i, e := range l.back {
		l.loop(&b, e, right+float64(24*(i+1)))
	}
	for i := range l.g.Nodes {
		l.box(&b, i)
	}
	above := map[int]int{}
	for _, w := range l.ways {
		a, z := l.places[w.via[0]], l.places[w.via[1]]
		y := a.y + boxHeight/2 + gapY*0.62
		if w.edge.Label != "" { // those that leave one box would lie on one another
			y += float64(above[w.via[0]]%3-1) * lineHeight
			above[w.via[0]]++
		}
		label(&b, w.edge.Label, (a.x+2*z.x)/3, y, "middle")
	}
	if text := legend(l.g); text != "" {
		fmt.Fprintf(&b, `<text class="label" style="text-anchor:start" x="%d" y="%.1f">%s</text>`+"\n", margin, bottom+margin+4, html.EscapeString(text))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

const svgStyle = `<style>
svg { background: #fff; font: 12px ui-sans-serif, system-ui, sans-serif; }
path { fill: none; stroke: #555; stroke-width: 1.3; } .dashed { stroke-dasharray: 5 4; } .failure { stroke: #b33; }
#tip path { fill: #555; stroke: none; }
rect { fill: #eef4fb; stroke: #467; } .choose, .decide, .require, .gate { fill: #fff6dd; } .handler { fill: #f6ecf6; }
.start, .completed { fill: #e3f4e3; } .failed, .cancelled { fill: #fbe6e6; }
text { fill: #222; text-anchor: middle; } .second { fill: #667; font-size: 11px; }
.signs { fill: #467; font-size: 10px; text-anchor: end; }
.label { fill: #333; font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
`

// line draws a way that goes down.
func (l *layout) line(b *bytes.Buffer, w way) {
	a := l.places[w.via[0]]
	x, y := a.x, a.y+boxHeight/2
	fmt.Fprintf(b, `<path class="%s" marker-end="url(#tip)" d="M%.1f %.1f`, classes(w.edge), x, y)
	for _, i := range w.via[1:] {
		p := l.places[i]
		top := p.y - boxHeight/2
		fmt.Fprintf(b, " C%.1f %.1f %.1f %.1f %.1f %.1f", x, y+gapY/2, p.x, top-gapY/2, p.x, top)
		if x, y = p.x, top; p.node < 0 {
			y += boxHeight
			fmt.Fprintf(b, " V%.1f", y)
		}
	}
	b.WriteString("\"/>\n")
}

// loop draws a way that goes back, right of everything else.
func (l *layout) loop(b *bytes.Buffer, e flows.GraphEdge, x float64) {
	a, z := l.places[l.index[e.From]], l.places[l.index[e.To]]
	fmt.Fprintf(b, `<path class="%s" marker-end="url(#tip)" d="M%.1f %.1f H%.1f V%.1f H%.1f"/>`+"\n",
		classes(e), a.x+boxWidth/2, a.y+8, x, z.y-8, z.x+boxWidth/2)
	label(b, e.Label, x+4, (a.y+z.y)/2, "start")
}

func classes(e flows.GraphEdge) string {
	class := e.Kind
	if e.Kind == "goto" || e.Kind == "skip" || e.Implied {
		class += " dashed"
	}
	return class
}

func (l *layout) box(b *bytes.Buffer, i int) {
	n, p := l.g.Nodes[i], l.places[i]
	class, round := n.Kind, 5
	switch {
	case n.Handler != "":
		class = "handler"
	case n.Kind == "start" || n.Kind == "completed" || n.Kind == "failed" || n.Kind == "cancelled":
		round = boxHeight / 2
	}
	first, second := titles(n)
	if s := signs(n); s != "" {
		defer fmt.Fprintf(b, `<text class="signs" x="%.1f" y="%.1f">%s</text>`+"\n", p.x+boxWidth/2-5, p.y-boxHeight/2+12, html.EscapeString(s))
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.1f" width="%d" height="%d" rx="%d"/>`,
		html.EscapeString(first+" "+second), class, p.x-boxWidth/2, p.y-boxHeight/2, boxWidth, boxHeight, round)
	if second == "" {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text></g>`+"\n", p.x, p.y+4, short(first))
		return
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text><text class="second" x="%.1f" y="%.1f">%s</text></g>`+"\n",
		p.x, p.y-4, short(first), p.x, p.y+13, short(second))
}

func label(b *bytes.Buffer, text string, x, y float64, anchor string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, `<text class="label" style="text-anchor:%s" x="%.1f" y="%.1f"><title>%s</title>%s</text>`+"\n",
		anchor, x, y, html.EscapeString(text), short(text))
}

// short is escaped text that fits into a box.
func short(s string) string {
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest-1]) + "…"
	}
	return html.EscapeString(s)
}
