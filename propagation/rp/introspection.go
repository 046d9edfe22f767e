package rp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// Introspection asks the issuer about tokens instead of verifying them here (RFC
// 7662): what has been revoked is refused at once, for a request to the issuer.
type Introspection struct {
	Endpoint     string // https, or http on this machine. Required
	ClientID     string // what we are at the issuer, by client_secret_basic. Required
	ClientSecret string // required
	// For is how long an answer is taken for true, if [Config.Remember] has room;
	// a token that is revoked is good for so long. Default 0: each request asks.
	For time.Duration
	// HTTP carries the questions. It follows no redirect. Default: one that waits
	// at most five seconds.
	HTTP *http.Client
}

const (
	introspectionTimeout = 5 * time.Second
	maxAnswer            = 64 << 10 // bytes
)

func (i *Introspection) check() error {
	u, err := url.Parse(i.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return errors.New("rp: Introspection.Endpoint is not an https address")
	case i.ClientID == "" || i.ClientSecret == "":
		return errors.New("rp: Introspection.ClientID and ClientSecret are required")
	case i.For < 0 || i.For > time.Hour:
		return errors.New("rp: Introspection.For is out of bounds")
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// client is HTTP, as it is used: whoever answers is the endpoint itself.
func (i *Introspection) client() *http.Client {
	c := http.Client{Timeout: introspectionTimeout}
	if i.HTTP != nil {
		c = *i.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// ask returns what the issuer says about a token. That it says something else than an
// answer is [ErrUnavailable]: also that it does not know us.
func (i *Introspection) ask(ctx context.Context, client *http.Client, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.ClientSecret)) // RFC 6749 §2.3.1
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != http.StatusOK || media != "application/json" || len(body) > maxAnswer {
		return nil, fmt.Errorf("%w: introspection was answered %d", ErrUnavailable, resp.StatusCode)
	}
	return body, nil
}

// introspect holds the answer to what is asked of a token that is verified here.
func (g *Guard) introspect(ctx context.Context, text string) (Token, error) {
	body, err := g.cfg.Introspection.ask(ctx, g.http, text)
	if err != nil {
		return Token{}, err
	}
	var answer struct {
		Active *bool `json:"active"` // RFC 7662 §2.2: required
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Active == nil {
		return Token{}, fmt.Errorf("%w: introspection was answered with something else", ErrUnavailable)
	}
	if !*answer.Active {
		return Token{}, errToken
	}
	return g.read(body)
}
