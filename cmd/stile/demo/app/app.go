package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config is everything that an app needs. All fields are required unless a
// default is named.
type Config struct {
	// StileURL is the external base URL of the server, without a path's
	// closing slash: https, or http on loopback.
	StileURL string
	// ClientID is how the app is registered there.
	ClientID string
	// RedirectURI is the only one that the operating system hands to this app
	// (RFC 8252 section 7): a private-use scheme or a claimed https URI.
	RedirectURI string
	// HTTPClient carries the requests. Default http.DefaultClient. The app
	// follows no redirects and keeps no cookies, whatever is set here.
	HTTPClient *http.Client
	Device     *Device
	Browser    *Browser
	// User is the human in front of the phone.
	User User
	// Now is the phone's clock.
	Now func() time.Time
	// Choose lets the user pick one of the options and returns its ID.
	// Default: the first that the app can draw.
	Choose func(options []Option) string
	// Wait pauses for d; it returns early, with the context's error, when ctx
	// is done. Default: a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// MaxWait is the longest retryAfter or delay that the app obeys. Default 2 minutes.
	MaxWait time.Duration
	// Capabilities are the step codes that the app says it can draw. Default
	// none, which means all.
	Capabilities []string
	// Answers are what the user and the phone say to prompts of these types, in
	// the place of what the app draws by itself. Default none.
	Answers map[string]func(data json.RawMessage) (map[string]any, error)
}

// User is what the human types when asked.
type User struct {
	Username string
	Password string
	PIN      string
	// TOTP reads the code of that instant from an authenticator app. Optional.
	TOTP func(now time.Time) (string, error)
}

// Option is one way to take a step, as the server offers it.
type Option struct {
	ID       string `json:"id"`       // goes back to the server
	Type     string `json:"type"`     // what nextStep.type will be
	StepType string `json:"stepType"` // what the flow's author calls it
}

// App drives flows and calls business APIs. Safe for concurrent use.
type App struct {
	cfg  Config
	base *url.URL
	http *http.Client

	mu      sync.Mutex
	nonces  map[string]string // DPoP nonce by origin, RFC 9449 section 8.2
	schemes map[string]string // authentication scheme by token
}

// New checks the configuration and reports every mistake in it.
func New(cfg Config) (*App, error) {
	base, err := secureURL(cfg.StileURL)
	problems := []error{err}
	for field, missing := range map[string]bool{
		"ClientID": cfg.ClientID == "", "RedirectURI": cfg.RedirectURI == "", "Device": cfg.Device == nil,
		"Browser": cfg.Browser == nil, "Now": cfg.Now == nil,
	} {
		if missing {
			problems = append(problems, errors.New("app: "+field+" is required"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = http.DefaultClient
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 2 * time.Minute
	}
	client := *cfg.HTTPClient
	client.Jar = nil
	client.CheckRedirect = stay
	return &App{cfg: cfg, base: base, http: &client, nonces: map[string]string{}, schemes: map[string]string{}}, nil
}

// stay makes a client return redirects instead of following them.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// secureURL parses an URL that secrets may be sent to: https, or http on
// loopback, where nobody can listen.
func secureURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("app: %q is no URL to send secrets to", raw)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, fmt.Errorf("app: %q is neither https nor http on loopback", raw)
	}
	return u, nil
}

// resolve turns an href of the server into an URL. It must stay on the
// server: the handle goes with it.
func (a *App) resolve(href string) (*url.URL, error) {
	ref, err := url.Parse(href)
	if err != nil {
		return nil, fmt.Errorf("app: href: %w", err)
	}
	u := a.base.ResolveReference(ref)
	if u.Scheme != a.base.Scheme || u.Host != a.base.Host {
		return nil, fmt.Errorf("app: href %q leads away from %s", href, a.cfg.StileURL)
	}
	return u, nil
}

// isServer says whether a device prompt is meant for the server that this app talks to.
func (a *App) isServer(audience string) bool {
	return strings.TrimSuffix(audience, "/") == strings.TrimSuffix(a.cfg.StileURL, "/")
}
