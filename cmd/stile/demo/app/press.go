package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// What people read on buttons before they press them. Saying no is looked
// for first: "Disallow" and "Do not continue" have a yes in them.
var (
	refusing = regexp.MustCompile(`(?i)cancel|deny|abort|reject|declin|refus|disallow|revoke|log ?out|sign ?out|forgot|regist|sign ?up|create|` +
		`\b(no|not|don'?t|back|stop|quit|exit|another|different|switch|change|help|reset)\b`)
	approving = regexp.MustCompile(`(?i)allow|accept|approv|authori[sz]e|agree|consent|continue|confirm|grant|proceed|submit|` +
		`log ?in|sign ?in|\b(yes|ok|okay|next|go|enter|send)\b`)
	elsewhere  = regexp.MustCompile(`(?i)\b(with|via|using)\b`) // "Sign in with ..."
	identifier = regexp.MustCompile(`(?i)user|login|log-in|e-?mail|identifier|account|name\b`)
	noEntry    = regexp.MustCompile(`(?i)(^|/)(cancel|deny|abort|reject|decline|refuse|revoke|logout|sign-?out|register|sign-?up|reset[a-z-]*)(/|$)`)
	separators = regexp.MustCompile(`[-_/.:]+`)
	camel      = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// proceed chooses the form that a person would fill in, and presses its
// button: the form with the password, else the one that asks who is there,
// else one with a button that agrees. It returns where that leads and whether
// the password was typed.
func (p page) proceed(who Person) (navigation, bool, error) {
	var best *form
	rank := 0
	for _, f := range p.forms {
		if r := f.rank(); r > rank {
			best, rank = f, r
		}
	}
	if best == nil {
		return navigation{}, false, fmt.Errorf("%w: %q at %s", ErrNoWayOn, p.title, p.url.Host)
	}
	button, _ := best.button()
	next, err := p.submit(best, button, best.fillIn(who, button))
	return next, rank == rankLogin, err
}

// How much a person would want to use a form.
const (
	rankUseless = iota
	rankNeutral // a button that says neither yes nor no
	rankApprove
	rankIdentify
	rankLogin
)

func (f *form) rank() int {
	secrets, identifies := 0, false
	for _, c := range f.controls {
		switch {
		case c.kind == "password" && strings.Contains(c.autocomplete, "new-password"):
			return rankUseless // a registration
		case c.kind == "password":
			secrets++
		case c.identifies():
			identifies = true
		}
	}
	button, liking := f.button()
	switch {
	case secrets > 1, button == nil && liking < 0:
		return rankUseless
	case secrets == 1:
		return rankLogin
	case leadsOut(f.action):
		return rankUseless
	case identifies:
		return rankIdentify
	case button == nil:
		return rankUseless
	case liking > 1:
		return rankApprove
	}
	return rankNeutral
}

// identifies says whether a user name goes into the field.
func (c control) identifies() bool {
	switch c.kind {
	case "email":
		return true
	case "text", "tel":
		return strings.Contains(c.autocomplete, "username") || identifier.MatchString(words(c.name, c.id, c.label))
	}
	return false
}

// button finds the button that a person who agrees would press, and how much
// they like it: 2 says yes, 1 says nothing. With no button at all, Enter
// submits (0); if all that there is says no, nothing is pressed (-1).
func (f *form) button() (*control, int) {
	var best *control
	liking, buttons := 0, 0
	for i, c := range f.controls {
		if c.kind != "submit" && c.kind != "image" {
			continue
		}
		buttons++
		if l := c.liking(); l > liking {
			best, liking = &f.controls[i], l
		}
	}
	if best == nil && buttons > 0 {
		return nil, -1
	}
	return best, liking
}

func (c control) liking() int {
	shown, hidden := words(c.text, c.label), words(c.name, c.value, c.id)
	switch {
	case refusing.MatchString(shown), refusing.MatchString(hidden), leadsOut(c.action):
		return 0
	case elsewhere.MatchString(shown):
		return 0
	case approving.MatchString(shown), approving.MatchString(hidden):
		return 2
	}
	return 1
}

// leadsOut looks for whole elements of the path: the rest of an address is
// often random and may contain any word.
func leadsOut(address string) bool {
	path, _, _ := strings.Cut(address, "?")
	return noEntry.MatchString(path)
}

// words makes names of programs readable: "btnCancel" is "btn Cancel".
func words(names ...string) string {
	text := camel.ReplaceAllString(strings.Join(names, " "), "$1 $2")
	return separators.ReplaceAllString(text, " ")
}

// fillIn gives the form's data as a browser would send it (HTML section 4.10.22.4).
func (f *form) fillIn(who Person, button *control) url.Values {
	values, radios := url.Values{}, map[string]bool{}
	for i, c := range f.controls {
		switch c.kind {
		case "submit", "image", "button", "reset", "file":
			if button != &f.controls[i] {
				continue
			}
		case "checkbox":
			if !c.checked && !c.required && !isScope(c.name) {
				continue
			}
		case "radio":
			if radios[c.name] || !c.checked && f.hasChecked(c.name) {
				continue
			}
			radios[c.name] = true
		case "password":
			c.value = who.Password
		default:
			if c.identifies() {
				c.value = who.Username
			}
		}
		if c.name != "" {
			values.Add(c.name, c.value)
		}
	}
	return values
}

// isScope finds the boxes of a consent page that say what is agreed to.
func isScope(name string) bool { return strings.Contains(strings.ToLower(name), "scope") }

func (f *form) hasChecked(radio string) bool {
	for _, c := range f.controls {
		if c.kind == "radio" && c.name == radio && c.checked {
			return true
		}
	}
	return false
}

// submit says where the form's data goes.
func (p page) submit(f *form, button *control, values url.Values) (navigation, error) {
	action, method := f.action, f.method
	if button != nil && button.action != "" {
		action = button.action
	}
	if button != nil && button.method != "" {
		method = button.method
	}
	ref, err := url.Parse(action) // "" is the page itself
	if err != nil {
		return navigation{}, fmt.Errorf("app: browser: form action: %w", err)
	}
	next := navigation{method: http.MethodGet, url: p.url.ResolveReference(ref)}
	if method != "post" {
		next.url.RawQuery, next.url.Fragment = values.Encode(), ""
		return next, nil
	}
	if f.enctype != "" && f.enctype != "application/x-www-form-urlencoded" {
		return navigation{}, errors.New("app: browser: the form has the encoding " + f.enctype)
	}
	next.method, next.form, next.from = http.MethodPost, values, origin(p.url)
	return next, nil
}
