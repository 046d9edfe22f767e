package oidcclient

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Tokens are what is kept of a sign-on. They are secrets: whoever has them acts for
// the person at the provider. Their JSON is to be sealed.
type Tokens struct {
	Subject  string    `json:"subject"`            // whose they are
	ID       string    `json:"id,omitempty"`       // the ID token, as a hint at the end of the session
	Access   string    `json:"access,omitempty"`   // "" unless Config.KeepTokens
	Refresh  string    `json:"refresh,omitempty"`  // "": none was given
	Expires  time.Time `json:"expires,omitzero"`   // of Access; zero: not said
	ProofKey []byte    `json:"proofKey,omitempty"` // that they are bound to (RFC 9449)
}

// String tells nothing.
func (Tokens) String() string { return "[redacted]" }

// GoString tells nothing.
func (Tokens) GoString() string { return "[redacted]" }

const longestLife = 365 * 24 * time.Hour

// lifeOf is the life that expires_in says, 0 if it says none that can be believed.
func lifeOf(seconds int64) time.Duration {
	if seconds <= 0 || seconds > int64(longestLife/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// kept are the tokens that the configuration keeps; nil if it keeps none.
func (p *Provider) kept(t tokens, r Request, subject string) *Tokens {
	if !p.cfg.KeepTokens && !p.cfg.KeepIDToken {
		return nil
	}
	k := &Tokens{Subject: subject}
	if p.cfg.KeepIDToken {
		k.ID = t.id
	}
	if p.cfg.KeepTokens {
		k.Access, k.Refresh, k.ProofKey, k.Expires = t.access, t.refresh, r.ProofKey, p.expiry(t.life)
	}
	return k
}

func (p *Provider) expiry(life time.Duration) time.Time {
	if life == 0 {
		return time.Time{}
	}
	return p.cfg.Now().Add(life).UTC()
}

// Refresh trades the refresh token for new tokens (RFC 6749 §6). The old ones must be
// taken as spent, whatever it returns but [ErrUnavailable]; after that it may be tried
// again, and a provider that rotates may take that for a theft (RFC 9700 §4.14.2).
//
// [ErrRefused]: there is nothing more to be had for them, or the answer is about
// somebody else.
func (p *Provider) Refresh(ctx context.Context, t Tokens) (Tokens, error) {
	if t.Refresh == "" {
		return Tokens{}, refused("refresh: there is no refresh token")
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Tokens{}, err
	}
	key, err := parseProofKey(t.ProofKey)
	if err != nil || (key != nil) != p.cfg.DPoP {
		return Tokens{}, refused("refresh: the tokens are bound otherwise")
	}
	client := p.http
	if key != nil {
		client = p.client(prover{p.http.Transport, p, key, &p.nonces})
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}}
	status, body, err := p.submit(ctx, client, m, "refresh", m.Token, form)
	if err == nil && status == http.StatusBadRequest && errorOf(body) == "use_dpop_nonce" && key != nil {
		status, body, err = p.submit(ctx, client, m, "refresh", m.Token, form)
	}
	switch {
	case err != nil:
		return Tokens{}, err
	case status == http.StatusBadRequest && errorOf(body) == "invalid_grant":
		return Tokens{}, refused("refresh: the tokens are no good any more")
	case status != http.StatusOK:
		return Tokens{}, unavailable("refresh: HTTP " + http.StatusText(status))
	}
	return p.refreshed(ctx, m, t, body)
}

// errorOf is the error code of an answer of the token endpoint, "" if it has none.
func errorOf(body []byte) string {
	if checkJSON(body) != nil {
		return ""
	}
	c, err := decode(body)
	if err != nil {
		return ""
	}
	code, _ := c["error"].(string)
	return code
}

// refreshed checks the answer. A new ID token must be about the same person (OpenID
// Connect Core §12.2); it is not kept.
func (p *Provider) refreshed(ctx context.Context, m metadata, old Tokens, body []byte) (Tokens, error) {
	if checkJSON(body) != nil {
		return Tokens{}, refused("refresh: ambiguous JSON")
	}
	c, err := decode(body)
	if err != nil {
		return Tokens{}, err
	}
	scheme := map[bool]string{true: "DPoP", false: "Bearer"}[p.cfg.DPoP]
	kind, _ := c["token_type"].(string)
	t := old
	t.Access, _ = c["access_token"].(string)
	if !strings.EqualFold(kind, scheme) || t.Access == "" {
		return Tokens{}, refused("refresh: access_token or token_type")
	}
	if again, ok := c["refresh_token"].(string); ok && again != "" {
		t.Refresh = again
	}
	seconds, _ := c["expires_in"].(interface{ Int64() (int64, error) })
	t.Expires = time.Time{}
	if seconds != nil {
		if n, err := seconds.Int64(); err == nil {
			t.Expires = p.expiry(lifeOf(n))
		}
	}
	if token, ok := c["id_token"].(string); ok && p.cfg.OAuth2 == nil {
		e := p.expect(Request{}, t.Access, "")
		e.unasked = true
		said, err := p.verify(ctx, m, token, e)
		if err != nil {
			return Tokens{}, err
		}
		if said["sub"] != any(old.Subject) {
			return Tokens{}, refused("refresh: sub")
		}
	}
	return t, nil
}

// Revoke tells the provider that nobody uses the tokens any more (RFC 7009 §2). nil: it
// knows, or it takes no such word. [ErrUnavailable]: it may be told again.
func (p *Provider) Revoke(ctx context.Context, t Tokens) error {
	m, err := p.metadata.get(ctx)
	if err != nil {
		return err
	}
	if m.Revocation == "" {
		return nil
	}
	for _, one := range [][2]string{{"refresh_token", t.Refresh}, {"access_token", t.Access}} {
		if one[1] == "" {
			continue
		}
		status, body, err := p.submit(ctx, p.tell, m, "revocation", m.Revocation, url.Values{"token": {one[1]}, "token_type_hint": {one[0]}})
		if err != nil {
			return err
		}
		if status != http.StatusOK && (status != http.StatusBadRequest || errorOf(body) != "unsupported_token_type") {
			return unavailable("revocation: HTTP " + http.StatusText(status))
		}
	}
	return nil
}

// EndSession is an address where the person ends the session at the provider, in the
// system browser, and the state that comes back (RP-Initiated Logout 1.0 §2). "": the
// provider has none. Without an ID token it is told whom this is about. back is one of
// the addresses that are registered there, "": nothing comes back.
func (p *Provider) EndSession(ctx context.Context, t Tokens, back string) (address, state string, err error) {
	m, err := p.metadata.get(ctx)
	if err != nil || m.EndSession == "" {
		return "", "", err
	}
	u, err := url.Parse(m.EndSession)
	if err != nil {
		return "", "", unavailable("the end session endpoint is no URL")
	}
	q := u.Query()
	q.Set("client_id", p.cfg.ClientID)
	if t.ID != "" && len(t.ID) <= maxHint {
		q.Set("id_token_hint", t.ID)
	} else if t.Subject != "" {
		q.Set("logout_hint", t.Subject)
	}
	if back != "" {
		state = random()
		q.Set("post_logout_redirect_uri", back)
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	return u.String(), state, nil
}

const maxHint = 4 << 10 // browsers and servers carry so much in an address
