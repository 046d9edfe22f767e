package story

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// Person is somebody with an account, and what they know and have.
type Person struct {
	Login, Password string
	secret          string // of the authenticator app
}

// Register makes an account with a password and an authenticator app, as an administrator
// does at the counter.
func (h *House) Register(ctx context.Context, login string) (Person, error) {
	p := Person{Login: login, Password: "three quiet green hills"}
	registrar, err := h.Node.Base.Registrar("Stile demo", h.Now)
	if err != nil {
		return p, err
	}
	added, err := registrar.Add(ctx, users.Person{Login: login, Password: p.Password, TOTP: true, Binding: assurance.AAL2})
	if err != nil {
		return p, err
	}
	u, err := url.Parse(added.URI)
	p.secret = u.Query().Get("secret")
	return p, err
}

// Code is what the authenticator app shows.
func (p Person) Code(now time.Time) (string, error) { return totp.GenerateCode(p.secret, now) }

// Browser is one that hands what is below an origin to the story, as a script of the page
// there would get it. It has cookies, and no scripts.
func (h *House) Browser(origin string) (*browser.Browser, error) {
	at, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	return browser.New(browser.Config{Transport: h.Wire, Claimed: func(u *url.URL) bool { return u.Host == at.Host }})
}

// maxPages is how many pages a sign-in may have.
const maxPages = 10

// SignIn opens an address, and does what its pages ask of the person, until it leads to what
// the browser hands over. asked are the secrets that were typed.
func (h *House) SignIn(ctx context.Context, b *browser.Browser, who Person, address string) (back *url.URL, asked []string, err error) {
	page, err := b.Open(ctx, address)
	for range maxPages {
		if err != nil {
			return nil, asked, err
		}
		if page.Handed != nil {
			return page.Handed, asked, nil
		}
		var typed string
		if page, typed, err = h.answer(ctx, page, who); typed != "" {
			asked = append(asked, typed)
		}
	}
	return nil, asked, errors.New("story: the pages do not end")
}

// answer fills in the form of a page.
func (h *House) answer(ctx context.Context, page *browser.Page, who Person) (*browser.Page, string, error) {
	code, err := who.Code(h.Now())
	if err != nil {
		return nil, "", err
	}
	for typed, value := range map[string]string{"password": who.Password, "code": code} {
		form, err := page.Form(typed)
		if err != nil || len(form.Buttons) == 0 {
			continue
		}
		values := map[string]string{typed: value}
		if form.Has("username") && form.Types["username"] != "hidden" {
			values["username"] = who.Login
		}
		next, err := page.Submit(ctx, form.Buttons[0].Text, values)
		return next, typed, err
	}
	return nil, "", fmt.Errorf("story: %d at %s asks for nothing that people know: %.200s", page.Status, page.URL, page.Body)
}
