package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// CallAPI gets a resource of a business API. The token ("" for none) is
// presented with the scheme that [App.Run] was told for it, any other as
// Bearer (RFC 6750); scheme DPoP brings a proof (RFC 9449 section 7.1).
//
// An answer that is no success is no error: status says what it was. A 401
// must have a challenge that can be read; the returned one is the first for
// Bearer or DPoP that carries an error code, else the first for one of them.
func (a *App) CallAPI(ctx context.Context, url, token string) (status int, challenge Challenge, body []byte, err error) {
	if _, err := secureURL(url); err != nil {
		return 0, Challenge{}, nil, err
	}
	ans, err := a.get(ctx, url, token)
	if err == nil && ans.wantsNonce() {
		ans, err = a.get(ctx, url, token)
	}
	if err != nil {
		return 0, Challenge{}, nil, err
	}
	if ans.status == http.StatusUnauthorized {
		challenge, err = challengeOf(ans.header.Values("WWW-Authenticate"))
	}
	return ans.status, challenge, ans.body, err
}

func (a *App) get(ctx context.Context, url, token string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return answer{}, fmt.Errorf("app: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if token == "" {
		return a.do(req)
	}
	scheme := a.scheme(token)
	req.Header.Set("Authorization", scheme+" "+token)
	if scheme == "DPoP" {
		if err := a.prove(req, token); err != nil {
			return answer{}, err
		}
	}
	return a.do(req)
}

func (a *App) remember(token, scheme string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schemes[token] = scheme
}

func (a *App) scheme(token string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.EqualFold(a.schemes[token], "DPoP") {
		return "DPoP"
	}
	return "Bearer"
}

func challengeOf(header []string) (Challenge, error) {
	all, err := ParseChallenges(header)
	if err != nil {
		return Challenge{}, err
	}
	var first *Challenge
	for i, c := range all {
		if !strings.EqualFold(c.Scheme, "Bearer") && !strings.EqualFold(c.Scheme, "DPoP") {
			continue
		}
		if c.Error != "" {
			return c, nil
		}
		if first == nil {
			first = &all[i]
		}
	}
	if first == nil {
		return Challenge{}, errors.New("app: a 401 without a challenge for Bearer or DPoP")
	}
	return *first, nil
}
