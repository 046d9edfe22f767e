package tour

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

var code = regexp.MustCompile(`<strong>([0-9]{8})</strong>`)

// confirm opens a link in a browser that has nothing to do with the phone, says
// that it was she who asked, and returns the code that the page shows.
func confirm(link string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	b, err := browser.New(browser.Config{})
	if err != nil {
		return "", err
	}
	page, err := b.Open(ctx, link)
	if err != nil {
		return "", err
	}
	if len(page.Forms) != 1 || len(page.Forms[0].Buttons) != 2 {
		return "", fmt.Errorf("the link leads to no page: %d", page.Status)
	}
	if page, err = page.Submit(ctx, page.Forms[0].Buttons[0].Text, nil); err != nil {
		return "", err
	}
	m := code.FindSubmatch(page.Body)
	if m == nil {
		return "", errors.New("the page shows no code")
	}
	return string(m[1]), nil
}
