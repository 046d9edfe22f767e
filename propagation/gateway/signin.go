package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stile-auth/stile/propagation/rp"
)

// The endpoints of the authorization server, below the issuer.
const (
	serverAuthorize = "/oauth2/authorize"
	serverToken     = "/oauth2/token" //nolint:gosec // a path
	serverRevoke    = "/oauth2/revoke"
	serverLogout    = "/oauth2/logout"
)

const (
	loginWithin = 10 * time.Minute
	maxAnswer   = 64 << 10
)

func unauthorized() *rp.Refusal {
	return &rp.Refusal{Status: http.StatusUnauthorized, Code: "login_required", Detail: "Nobody is signed in."}
}

func badRequest(detail string) *rp.Refusal {
	return &rp.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Detail: detail}
}

// serveApp answers what a browser asks at the origin of an app itself. The proxy passes
// these requests on as they are, with their Host.
func (g *Gateway) serveApp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	a := g.apps.at(r.Host)
	if a == nil {
		rp.Refuse(w, refused())
		return
	}
	if !ownPage(r.Header, r.Method, a.Origin) {
		rp.Refuse(w, notOwn())
		return
	}
	var err error
	switch r.Method + " " + r.URL.Path {
	case "GET " + pathLogin:
		err = g.login(w, r, a)
	case "GET " + pathCallback:
		err = g.callback(w, r, a)
	case "GET " + pathSession:
		err = g.show(w, r, a)
	case "POST " + pathRefresh:
		err = g.refresh(w, r, a)
	case "POST " + pathLogout:
		err = g.logout(w, r, a)
	default:
		err = refused()
	}
	if err != nil {
		rp.Refuse(w, err)
	}
}

// login sends the browser to the authorization server (RFC 9700 §2.1.1).
func (g *Gateway) login(w http.ResponseWriter, r *http.Request, a *App) error {
	begun := attempt{State: rand.Text(), Verifier: rand.Text() + rand.Text(), To: homeward(r.URL.Query().Get("to")), Until: g.now().Add(loginWithin)}
	value, err := g.seal(a, useLogin, begun)
	if err != nil {
		return err
	}
	// It has to come along when the server sends the browser back: that is another site.
	if err := a.put(w, a.loginCookie(), value, http.SameSiteLaxMode); err != nil {
		return badRequest("The address to come back to is too long.")
	}
	sum := sha256.Sum256([]byte(begun.Verifier))
	q := a.asks(r.URL.Query())
	for name, v := range map[string]string{
		"response_type": "code", "client_id": a.Client, "redirect_uri": a.Origin + pathCallback, "resource": a.Audience, "state": begun.State,
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, v)
	}
	return seeOther(w, g.issuer+serverAuthorize+"?"+q.Encode())
}

func seeOther(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// callback takes the code of the sign-in that this browser has begun, and no other.
func (g *Gateway) callback(w http.ResponseWriter, r *http.Request, a *App) error {
	q := r.URL.Query()
	var begun attempt
	values := cookies(r.Header, a.loginCookie())
	if len(values) != 1 || g.open(a, useLogin, values[0], &begun) != nil || !g.now().Before(begun.Until) ||
		subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(begun.State)) != 1 || q.Get("iss") != g.issuer { // RFC 9207 §2.4
		return badRequest("This sign-in was not begun here, or too long ago.")
	}
	if err := a.put(w, a.loginCookie(), "", http.SameSiteLaxMode); err != nil {
		return err
	}
	if q.Get("error") != "" { // the person did not want to, or could not: the app shows that nobody is there
		return seeOther(w, begun.To)
	}
	k, err := g.trade(r.Context(), a, url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {a.Origin + pathCallback}, "code_verifier": {begun.Verifier},
	})
	if errors.Is(err, errRefused) {
		return badRequest("The sign-in has come to nothing.")
	}
	if err != nil {
		return err
	}
	if err := g.keep(w, a, k); err != nil {
		return err
	}
	return seeOther(w, begun.To)
}

// refresh trades the refresh token of the cookie for new tokens. Of requests that come at
// once one does so here, and all get what it gets; at another node the server answers the
// second of them once more.
func (g *Gateway) refresh(w http.ResponseWriter, r *http.Request, a *App) error {
	k, err := g.session(a, r.Header)
	if err != nil || k.Refresh == "" {
		return unauthorized()
	}
	ctx := context.WithoutCancel(r.Context()) // others wait for it too
	got, err, _ := g.refreshing.Do(a.Client+"\x00"+k.Refresh, func() (any, error) {
		return g.trade(ctx, a, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.Refresh}})
	})
	if errors.Is(err, errRefused) {
		if err := a.put(w, a.Cookie, "", http.SameSiteStrictMode); err != nil {
			return err
		}
		return unauthorized()
	}
	if err != nil {
		return err
	}
	next, _ := got.(kept)
	if next.Refresh == "" {
		next.Refresh = k.Refresh // RFC 6749 §6: the old one stays good
	}
	if err := g.keep(w, a, next); err != nil {
		return err
	}
	return g.tell(w, r, a, next)
}

// show says who is signed in.
func (g *Gateway) show(w http.ResponseWriter, r *http.Request, a *App) error {
	k, err := g.session(a, r.Header)
	if err != nil {
		return unauthorized()
	}
	return g.tell(w, r, a, k)
}

// tell says of a session what a script may know: no token.
func (g *Gateway) tell(w http.ResponseWriter, r *http.Request, a *App, k kept) error {
	with := *r
	with.Header = http.Header{"Authorization": {"Bearer " + k.Access}}
	with.URL = &url.URL{Path: r.URL.Path}
	t, err := g.guards[guarded{a.Audience, a.Origin}].Check(&with, rp.Rule{})
	if err != nil {
		return err
	}
	return answerJSON(w, map[string]any{
		"sub": t.Subject, "acr": t.ACR, "amr": t.AMR, "auth_time": t.AuthTime.Unix(), "scope": strings.Join(t.Scopes, " "),
		"expires_in": int64(t.Expires.Sub(g.now()) / time.Second),
	})
}

// logout ends what came of the sign-in, and says where the browser ends the session at the
// server too. The cookie is gone whatever the server says.
func (g *Gateway) logout(w http.ResponseWriter, r *http.Request, a *App) error {
	k, err := g.session(a, r.Header)
	if errPut := a.put(w, a.Cookie, "", http.SameSiteStrictMode); errPut != nil {
		return errPut
	}
	if err == nil && k.Refresh != "" {
		if _, err := g.post(r.Context(), a, serverRevoke, url.Values{"token": {k.Refresh}}); err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
	after := url.Values{"client_id": {a.Client}, "post_logout_redirect_uri": {a.Origin + "/"}}
	return answerJSON(w, map[string]any{"location": g.issuer + serverLogout + "?" + after.Encode()})
}

func answerJSON(w http.ResponseWriter, v any) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(v) // a browser that went away gets no answer
	return nil
}

var (
	errRefused = errors.New("gateway: the authorization server has refused")
	errServer  = errors.New("gateway: the authorization server does not answer as it should")
)

// trade gets tokens. [errRefused] says that what was presented is not good.
func (g *Gateway) trade(ctx context.Context, a *App, form url.Values) (kept, error) {
	text, err := g.post(ctx, a, serverToken, form)
	if err != nil {
		return kept{}, err
	}
	var got struct {
		Access  string `json:"access_token"`
		Type    string `json:"token_type"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(text, &got) != nil || got.Access == "" || !strings.EqualFold(got.Type, "Bearer") {
		return kept{}, errServer
	}
	return kept{Access: got.Access, Refresh: got.Refresh}, nil
}

// post asks an endpoint of the authorization server as the client of the app.
func (g *Gateway) post(ctx context.Context, a *App, path string, form url.Values) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(a.Client), url.QueryEscape(a.Secret)) // RFC 6749 §2.3.1
	resp, err := g.server.RoundTrip(r)
	if err != nil {
		return nil, errors.Join(errServer, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var said struct{ Error string }
	switch {
	case err != nil:
		return nil, errors.Join(errServer, err)
	case resp.StatusCode == http.StatusOK:
		return text, nil
	case resp.StatusCode == http.StatusBadRequest && json.Unmarshal(text, &said) == nil && said.Error == "invalid_grant":
		return nil, errRefused
	}
	return nil, errServer
}
