package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// Errors of the browser.
var (
	ErrNoWayOn       = errors.New("app: the page offers nothing that a person would press")
	ErrLoginRefused  = errors.New("app: the provider asks for the password again: it was refused")
	ErrTooManyHops   = errors.New("app: the browser was sent around too often")
	ErrProviderError = errors.New("app: the provider shows an error")
)

// Person is who sits in front of the browser, with the account at the provider.
type Person struct {
	Username string
	Password string
}

// BrowserConfig says what a browser is made of.
type BrowserConfig struct {
	// Transport carries the requests. Default http.DefaultTransport.
	Transport http.RoundTripper
	// Person fills in the forms. Required.
	Person Person
	// MaxHops is the largest number of requests per Open. Default 30.
	MaxHops int
}

// Browser is the system browser of the phone. It keeps its cookies from one
// Open to the next, so the person may stay signed in at the provider. It runs
// no scripts. Safe for concurrent use.
type Browser struct {
	cfg  BrowserConfig
	http *http.Client
}

// NewBrowser makes a browser without cookies.
func NewBrowser(cfg BrowserConfig) (*Browser, error) {
	if cfg.Person.Username == "" || cfg.Person.Password == "" {
		return nil, errors.New("app: the browser needs a person with a user name and a password")
	}
	if cfg.MaxHops == 0 {
		cfg.MaxHops = 30
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("app: cookie jar: %w", err)
	}
	client := &http.Client{Transport: cfg.Transport, Jar: jar, CheckRedirect: stay}
	return &Browser{cfg: cfg, http: client}, nil
}

// navigation is where the browser is to go next.
type navigation struct {
	method string
	url    *url.URL
	form   url.Values // of a POST
	from   string     // the origin of the page that a form was on
}

// Open goes to an address, does what the pages ask of the person, and returns
// the full URL as soon as it would go to redirectURI, which it hands to the
// app instead (RFC 8252 section 7). Errors are those above, wrapped.
func (b *Browser) Open(ctx context.Context, address, redirectURI string) (string, error) {
	goal, err := url.Parse(redirectURI)
	if err != nil {
		return "", fmt.Errorf("app: redirect URI: %w", err)
	}
	u, err := secureURL(address)
	if err != nil {
		return "", err
	}
	next, typed := navigation{method: http.MethodGet, url: u}, 0
	for range b.cfg.MaxHops {
		if leadsTo(next.url, goal) {
			return next.url.String(), nil
		}
		p, redirect, err := b.visit(ctx, next)
		if err != nil {
			return "", err
		}
		if redirect != nil {
			next = *redirect
			continue
		}
		var secret bool
		if next, secret, err = p.proceed(b.cfg.Person); err != nil {
			return "", err
		}
		if secret {
			typed++
		}
		if typed > 1 {
			return "", fmt.Errorf("%w at %s", ErrLoginRefused, p.url.Host)
		}
	}
	return "", fmt.Errorf("%w (%d requests, the last to %s)", ErrTooManyHops, b.cfg.MaxHops, next.url.Host)
}

// leadsTo says whether an address is the redirect URI with an answer in its query.
func leadsTo(u, goal *url.URL) bool {
	if u.Scheme != goal.Scheme || u.Host != goal.Host || u.EscapedPath() != goal.EscapedPath() || u.Opaque != goal.Opaque {
		return false
	}
	query := u.Query()
	for name, values := range goal.Query() {
		if strings.Join(query[name], "\n") != strings.Join(values, "\n") {
			return false
		}
	}
	return true
}

// visit makes one request. It returns the page or where that sends the browser.
func (b *Browser) visit(ctx context.Context, n navigation) (page, *navigation, error) {
	if _, err := secureURL(n.url.String()); err != nil {
		return page{}, nil, err // also any private-use scheme that is not the app's
	}
	resp, err := b.request(ctx, n)
	if err != nil {
		return page{}, nil, fmt.Errorf("app: browser: %w", err)
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body)
	if err != nil {
		return page{}, nil, fmt.Errorf("app: browser: %w", err)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		redirect, err := n.redirect(resp)
		return page{}, redirect, err
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != "text/html" {
		return page{}, nil, fmt.Errorf("%w: %d with %q at %s%s", ErrProviderError, resp.StatusCode, media, n.url.Host, n.url.Path)
	}
	p, err := parsePage(n.url, body)
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%w: %d %q", ErrProviderError, resp.StatusCode, p.title)
	}
	return p, nil, err
}

func (b *Browser) request(ctx context.Context, n navigation) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if n.method == http.MethodPost {
		body = strings.NewReader(n.form.Encode())
	}
	target := *n.url
	target.Fragment = ""
	req, err := http.NewRequestWithContext(ctx, n.method, target.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	req.Header.Set("User-Agent", "Mozilla/5.0 (Phone) SystemBrowser/1.0")
	if n.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", n.from)
	}
	return b.http.Do(req)
}

// redirect follows RFC 9110 section 15.4: 307 and 308 repeat the request,
// everything else becomes a GET.
func (n navigation) redirect(resp *http.Response) (*navigation, error) {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil, fmt.Errorf("%w: %d without a Location", ErrProviderError, resp.StatusCode)
	}
	ref, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("app: browser: Location: %w", err)
	}
	next := &navigation{method: http.MethodGet, url: n.url.ResolveReference(ref)}
	if resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect {
		next.method, next.form, next.from = n.method, n.form, "null"
	}
	return next, nil
}
