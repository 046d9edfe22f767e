package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const inFlightRepeats = 5

// request is one request to Stile. Sending it again means the same thing.
type request struct {
	method string
	url    *url.URL
	handle string // "" at the start
	body   []byte // nil: none
	key    string // Idempotency-Key
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request until there is an answer to it. A broken connection is
// forgiven once; the repeat is the same request with a fresh proof. An answer
// that is no success becomes a *[ProblemError].
func (a *App) send(ctx context.Context, r request) (view, error) {
	broken, nonced, waited := false, false, 0
	for {
		ans, err := a.try(ctx, r)
		switch {
		case err != nil && (broken || ctx.Err() != nil):
			return view{}, err
		case err != nil:
			broken = true
		case ans.wantsNonce() && !nonced:
			nonced = true
		case ans.inFlight() && waited < inFlightRepeats:
			waited++ // the first copy of this request is still being worked on
			if err := a.cfg.Wait(ctx, time.Second); err != nil {
				return view{}, err
			}
		default:
			return ans.view()
		}
	}
}

func (a *App) try(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), bytes.NewReader(r.body))
	if err != nil {
		return answer{}, fmt.Errorf("app: %w", err)
	}
	if err := a.prove(req, ""); err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if r.handle != "" {
		req.Header.Set("Authorization", "Flow "+r.handle)
	}
	if r.method == http.MethodPost {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return a.do(req)
}

// prove puts a fresh DPoP proof on the request.
func (a *App) prove(req *http.Request, token string) error {
	htu := *req.URL
	htu.RawQuery, htu.Fragment = "", ""
	a.mu.Lock()
	nonce := a.nonces[origin(req.URL)]
	a.mu.Unlock()
	proof, err := a.cfg.Device.Proof(req.Method, htu.String(), token, nonce)
	if err != nil {
		return err
	}
	req.Header.Set("DPoP", proof)
	return nil
}

func (a *App) do(req *http.Request) (answer, error) {
	resp, err := a.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("app: %w", err)
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body)
	if err != nil {
		return answer{}, fmt.Errorf("app: %s %s: %w", req.Method, req.URL.Path, err)
	}
	if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
		a.mu.Lock()
		a.nonces[origin(req.URL)] = nonce
		a.mu.Unlock()
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func (a answer) view() (view, error) {
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return view{}, problemOf(a.status, a.header, a.body)
	}
	if media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); media != "application/json" {
		return view{}, fmt.Errorf("app: stile answered %d with %q and not with JSON", a.status, media)
	}
	return parseView(a.body)
}

func (a answer) wantsNonce() bool {
	return a.status == http.StatusUnauthorized && a.header.Get("DPoP-Nonce") != ""
}

func (a answer) inFlight() bool {
	if a.status != http.StatusConflict {
		return false
	}
	var p *ProblemError
	return errors.As(problemOf(a.status, a.header, a.body), &p) && p.Code == "in_flight"
}
