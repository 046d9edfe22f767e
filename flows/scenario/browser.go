package scenario

import (
	"context"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flows"
)

// What a person does on the page of a link that was sent.
const (
	looks    = "look" // nothing
	confirms = "confirm"
	denies   = "deny"
)

// browser opens the last link that was sent, in a browser that the app knows
// nothing of, and shows the run again, as an app would that waits.
func (p *player) browser(ctx context.Context, m Move) *Failure {
	uri := p.lastLink()
	if uri == "" {
		return p.fail(m.Pos, "browser: no link was sent")
	}
	code, err := p.d.press(ctx, uri, m.Word)
	if err != nil {
		return p.fail(m.Pos, "browser: %v", err)
	}
	if code != "" {
		p.shown = code
	}
	return p.refresh(ctx, m)
}

func (p *player) lastLink() string {
	if p.world.Outbox == nil {
		return ""
	}
	uri := ""
	for _, m := range p.world.Outbox() {
		if link := m.Args["link"]; link != "" {
			uri = link
		}
	}
	return uri
}

// press takes the way of a browser on the engine itself.
func (d onEngine) press(ctx context.Context, uri, word string) (string, error) {
	do := d.engine.MailedLink
	switch word {
	case confirms:
		do = d.engine.ConfirmLink
	case denies:
		do = d.engine.DenyLink
	}
	page, err := do(ctx, secretOf(uri), "")
	var pr *flows.Problem
	if errors.As(err, &pr) && pr.Kind == flows.KindNotFound {
		return "", nil // the page says that there is nothing
	}
	if err != nil {
		return "", fmt.Errorf("the page of the link: %w", err)
	}
	return string(page.Code), nil
}

// press presses a button of the page that the server shows.
func (d overHTTP) press(ctx context.Context, uri, word string) (string, error) {
	if d.button == nil {
		return "", errors.New("nobody in this world has a browser")
	}
	return d.button(ctx, uri, word)
}
