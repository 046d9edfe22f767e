// Package browser is a web browser for programs: it keeps cookies, follows
// redirects, reads the forms of a page and sends them. It runs no script and
// knows nothing of any server.
//
// What a phone's system browser would hand to an app (RFC 8252 section 7), it
// hands back: a Page whose Handed is set.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

const (
	maxRedirects = 20
	maxPage      = 1 << 20
)

// Config describes a browser. The zero value works.
type Config struct {
	// Transport carries the requests. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Claimed says which web addresses belong to the app. Default: none.
	// Addresses that are not http or https always belong to it.
	Claimed func(*url.URL) bool
}

// Browser is one person's browser. It is for one goroutine at a time.
type Browser struct {
	client  http.Client
	claimed func(*url.URL) bool
}

// Page is what the browser shows, or what it handed to the app.
type Page struct {
	// URL is the address of the page.
	URL *url.URL
	// Status, Header and Body are the server's answer. Of an answer that is
	// longer than 1 MiB only that much is kept.
	Status int
	Header http.Header
	Body   []byte
	// Forms are the forms of the page in order.
	Forms []Form
	// Handed is the address that the browser gave to the app; nil for a page
	// that it shows. After a form that is posted to the app, Posted has the
	// fields.
	Handed *url.URL
	Posted url.Values

	browser *Browser
}

// New makes a browser without cookies.
func New(cfg Config) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	b := &Browser{claimed: cfg.Claimed}
	b.client = http.Client{
		Jar:       jar,
		Transport: cfg.Transport,
		// Redirects are followed by load, which knows what belongs to the app.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

// Open goes to an address.
func (b *Browser) Open(ctx context.Context, address string) (*Page, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	return b.load(ctx, http.MethodGet, u, nil)
}

// Cookies are the cookies that the browser would send to an address.
func (b *Browser) Cookies(u *url.URL) []*http.Cookie { return b.client.Jar.Cookies(u) }

// load sends a request and follows redirects up to a page or the app.
func (b *Browser) load(ctx context.Context, method string, u *url.URL, fields url.Values) (*Page, error) {
	for range maxRedirects {
		if b.leaves(u) {
			return &Page{Handed: u, Posted: fields, browser: b}, nil
		}
		page, location, err := b.send(ctx, method, u, fields)
		if err != nil || location == "" {
			return page, err
		}
		next, err := u.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("browser: location: %w", err)
		}
		if page.Status != http.StatusTemporaryRedirect && page.Status != http.StatusPermanentRedirect {
			method, fields = http.MethodGet, nil
		}
		u = next
	}
	return nil, errors.New("browser: too many redirects")
}

func (b *Browser) leaves(u *url.URL) bool {
	return u.Scheme != "http" && u.Scheme != "https" || b.claimed != nil && b.claimed(u)
}

// send makes one exchange. The location is "" if the answer is a page.
func (b *Browser) send(ctx context.Context, method string, u *url.URL, fields url.Values) (*Page, string, error) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(fields.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, "", fmt.Errorf("browser: %w", err)
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("browser: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, "", fmt.Errorf("browser: %w", err)
	}
	page := &Page{URL: u, Status: res.StatusCode, Header: res.Header, Body: text, browser: b}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return page, res.Header.Get("Location"), nil
	}
	page.Forms, err = readForms(u, text)
	return page, "", err
}
