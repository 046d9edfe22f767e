package app

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// page is an HTML document as far as forms go.
type page struct {
	url   *url.URL // where relative addresses start
	title string
	forms []*form
}

type form struct {
	id, action, method string
	enctype            string
	controls           []control
}

// control is an input, button, select or textarea that is not disabled.
type control struct {
	kind         string // "text", "password", "submit", "checkbox", ...
	name, value  string
	text         string // what is written on a button
	autocomplete string
	id           string
	label        string // aria-label, placeholder
	action       string // formaction of a button
	method       string // formmethod of a button
	checked      bool
	required     bool
}

// parsePage reads a document. Controls belong to the form that their form
// attribute names, else to the one around them (HTML section 4.10.17.3).
func parsePage(at *url.URL, body []byte) (page, error) {
	doc, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return page{}, fmt.Errorf("app: browser: HTML: %w", err)
	}
	p := page{url: at}
	byNode := map[*html.Node]*form{}
	for n := range doc.Descendants() {
		switch n.DataAtom {
		case atom.Base:
			if ref, err := url.Parse(attr(n, "href")); err == nil && has(n, "href") {
				p.url = at.ResolveReference(ref)
			}
		case atom.Title:
			p.title = textOf(n)
		case atom.Form:
			f := &form{id: attr(n, "id"), action: attr(n, "action"), method: strings.ToLower(attr(n, "method")), enctype: attr(n, "enctype")}
			p.forms = append(p.forms, f)
			byNode[n] = f
		default: // says nothing about forms
		}
	}
	for n := range doc.Descendants() {
		if c, ok := controlOf(n); ok {
			if f := p.owner(n, byNode); f != nil {
				f.controls = append(f.controls, c)
			}
		}
	}
	return p, nil
}

func (p page) owner(n *html.Node, byNode map[*html.Node]*form) *form {
	if id := attr(n, "form"); id != "" {
		for _, f := range p.forms {
			if f.id == id {
				return f
			}
		}
		return nil
	}
	for up := n.Parent; up != nil; up = up.Parent {
		if f := byNode[up]; f != nil {
			return f
		}
	}
	return nil
}

func controlOf(n *html.Node) (control, bool) {
	if n.Type != html.ElementNode || disabled(n) {
		return control{}, false
	}
	c := control{
		kind: strings.ToLower(attr(n, "type")), name: attr(n, "name"), value: attr(n, "value"),
		autocomplete: strings.ToLower(attr(n, "autocomplete")), id: attr(n, "id"),
		label:  attr(n, "aria-label") + " " + attr(n, "placeholder"),
		action: attr(n, "formaction"), method: strings.ToLower(attr(n, "formmethod")),
		checked: has(n, "checked"), required: has(n, "required"),
	}
	switch n.DataAtom {
	case atom.Input:
		if c.kind == "" {
			c.kind = "text"
		}
		if (c.kind == "checkbox" || c.kind == "radio") && !has(n, "value") {
			c.value = "on"
		}
		c.text = c.value
	case atom.Button:
		if c.kind == "" {
			c.kind = "submit"
		}
		c.text = textOf(n)
	case atom.Select:
		c.kind, c.value = "select", selected(n)
	case atom.Textarea:
		c.kind, c.value = "textarea", textOf(n)
	default:
		return control{}, false
	}
	return c, true
}

// disabled looks at the control and at the fieldsets around it.
func disabled(n *html.Node) bool {
	for up := n; up != nil; up = up.Parent {
		if (up == n || up.DataAtom == atom.Fieldset) && has(up, "disabled") {
			return true
		}
	}
	return false
}

// selected is the value of the selected option, else of the first one.
func selected(n *html.Node) string {
	value, found := "", false
	for o := range n.Descendants() {
		if o.DataAtom != atom.Option || (found && !has(o, "selected")) {
			continue
		}
		found = true
		if value = attr(o, "value"); !has(o, "value") {
			value = textOf(o)
		}
		if has(o, "selected") {
			break
		}
	}
	return value
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
