package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// browse is the person's browser on the pages of a server: it opens a link, goes
// on, fills in the form, and returns what the app is handed.
func browse(server http.Handler) func(ctx context.Context, uri string, typed map[string]string) (string, error) {
	return func(ctx context.Context, uri string, typed map[string]string) (string, error) {
		b, err := browser.New(browser.Config{Transport: scenario.Transport{Handler: server}})
		if err != nil {
			return "", err
		}
		page, err := b.Open(ctx, uri)
		if err == nil {
			page, err = press(ctx, page, nil)
		}
		if err == nil {
			page, err = press(ctx, page, typed)
		}
		switch {
		case err != nil:
			return "", err
		case page.Handed == nil:
			return "", fmt.Errorf("the form is not taken: %d", page.Status)
		}
		return page.Handed.RawQuery, nil
	}
}

// press fills in the one form of a page and sends it.
func press(ctx context.Context, page *browser.Page, typed map[string]string) (*browser.Page, error) {
	if page.Status != http.StatusOK || len(page.Forms) != 1 || len(page.Forms[0].Buttons) != 1 {
		return nil, errors.New("the page has no form")
	}
	return page.Submit(ctx, page.Forms[0].Buttons[0].Text, typed)
}

var bold = regexp.MustCompile(`<strong>([0-9]+)</strong>`)

// pressLink is the browser of whoever reads the person's mail: it opens the page
// of a link, presses a button, and returns the code that it is then shown.
func pressLink(server http.Handler) func(ctx context.Context, uri, button string) (string, error) {
	return func(ctx context.Context, uri, button string) (string, error) {
		b, err := browser.New(browser.Config{Transport: scenario.Transport{Handler: server}})
		if err != nil {
			return "", err
		}
		page, err := b.Open(ctx, uri)
		if err != nil || page.Status == http.StatusNotFound || len(page.Forms) != 1 {
			return "", err
		}
		i := slices.IndexFunc(page.Forms[0].Buttons, func(b browser.Button) bool { return b.Value == button })
		if i < 0 { // it is only looked at
			return "", nil
		}
		if page, err = page.Submit(ctx, page.Forms[0].Buttons[i].Text, nil); err != nil {
			return "", err
		}
		if m := bold.FindSubmatch(page.Body); m != nil {
			return string(m[1]), nil
		}
		return "", nil
	}
}
