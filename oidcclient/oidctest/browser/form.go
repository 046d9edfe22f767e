package browser

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Form is a form of a page.
type Form struct {
	// Method is GET or POST.
	Method string
	// Action is where the form goes.
	Action *url.URL
	// Fields are what the page has filled in, buttons excepted.
	Fields url.Values
	// Types are the types of the fields ("hidden", "password", ...) by name.
	Types map[string]string
	// Buttons are the buttons that send the form.
	Buttons []Button
}

// Button sends a form.
type Button struct {
	// Name and Value are sent if Name is not empty.
	Name, Value string
	// Text is what stands on it.
	Text string
}

// Has says whether the form has a field of that name.
func (f Form) Has(field string) bool {
	_, ok := f.Types[field]
	return ok
}

// Form is the first form that has the field.
func (p *Page) Form(field string) (Form, error) {
	for _, f := range p.Forms {
		if f.Has(field) {
			return f, nil
		}
	}
	return Form{}, fmt.Errorf("browser: %v has no form with the field %q", p.URL, field)
}

// Submit fills in the values, presses the button that bears the text, and
// returns the next page. The first form with such a button is sent. Values for
// fields that the form does not have are an error: a person could not enter
// them.
func (p *Page) Submit(ctx context.Context, button string, values map[string]string) (*Page, error) {
	for _, f := range p.Forms {
		for _, b := range f.Buttons {
			if b.Text == button {
				return p.press(ctx, f, b, values)
			}
		}
	}
	return nil, fmt.Errorf("browser: %v has no button %q", p.URL, button)
}

func (p *Page) press(ctx context.Context, f Form, b Button, values map[string]string) (*Page, error) {
	fields := url.Values{}
	for name, list := range f.Fields {
		fields[name] = list
	}
	for name, value := range values {
		if !f.Has(name) || f.Types[name] == "hidden" {
			return nil, fmt.Errorf("browser: a person cannot fill in the field %q", name)
		}
		fields.Set(name, value)
	}
	if b.Name != "" {
		fields.Set(b.Name, b.Value)
	}
	if f.Method == http.MethodPost {
		return p.browser.load(ctx, http.MethodPost, f.Action, fields)
	}
	target := *f.Action
	target.RawQuery = fields.Encode()
	return p.browser.load(ctx, http.MethodGet, &target, nil)
}

// readForms finds the forms of a page.
func readForms(base *url.URL, text []byte) ([]Form, error) {
	root, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	var forms []Form
	for n := range root.Descendants() {
		if n.DataAtom != atom.Form || n.Type != html.ElementNode {
			continue
		}
		f, err := readForm(base, n)
		if err != nil {
			return nil, err
		}
		forms = append(forms, f)
	}
	return forms, nil
}

func readForm(base *url.URL, n *html.Node) (Form, error) {
	action, err := base.Parse(attr(n, "action"))
	if err != nil {
		return Form{}, fmt.Errorf("browser: form action: %w", err)
	}
	f := Form{Method: http.MethodGet, Action: action, Fields: url.Values{}, Types: map[string]string{}}
	if strings.EqualFold(attr(n, "method"), "post") {
		f.Method = http.MethodPost
	}
	for d := range n.Descendants() {
		switch d.DataAtom {
		case atom.Input:
			f.addInput(d)
		case atom.Button:
			if t := attr(d, "type"); t == "" || t == "submit" {
				f.Buttons = append(f.Buttons, Button{Name: attr(d, "name"), Value: attr(d, "value"), Text: textOf(d)})
			}
		}
	}
	return f, nil
}

func (f *Form) addInput(n *html.Node) {
	name, kind := attr(n, "name"), attr(n, "type")
	switch kind {
	case "submit":
		f.Buttons = append(f.Buttons, Button{Name: name, Value: attr(n, "value"), Text: attr(n, "value")})
		return
	case "":
		kind = "text"
	}
	if name == "" {
		return
	}
	f.Types[name] = kind
	if (kind == "checkbox" || kind == "radio") && !hasAttr(n, "checked") {
		return
	}
	f.Fields.Add(name, attr(n, "value"))
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
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
	return strings.TrimSpace(b.String())
}
