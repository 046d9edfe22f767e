package provider

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/stile-auth/stile/flows"
)

// longestAddress bounds what a POST becomes as a GET, in bytes.
const longestAddress = 8 << 10

// logout answers RP-Initiated Logout 1.0. Where a hint tells of the browser's own session, that
// session ends at once; everybody else is asked (§2): else any link would sign people out.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	q, ok := parameters(w, r)
	if !ok || twice(q) {
		s.cfg.Pages.Refuse(w, r, http.StatusBadRequest, "page.unreadable")
		return
	}
	session := s.cfg.Pages.Session(r)
	if address := PathLogout + "?" + q.Encode(); r.Method == http.MethodPost && session == "" && len(address) < longestAddress {
		w.Header().Set("Location", address) // posted from another site, the cookie stayed behind
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	to, err := s.afterwards(r, q)
	if err != nil {
		s.cfg.Pages.Fail(w, r, err)
		return
	}
	err = s.leave(r, q, session, flows.Caller{RequestID: w.Header().Get("X-Request-Id")})
	switch {
	case errors.Is(err, errAsk):
		s.cfg.Pages.AskSignOut(w, r, PathLogout, q, to)
		return
	case errors.Is(err, errStays):
		s.cfg.Pages.SignedOut(w, r, stays)
		return
	case err != nil:
		s.cfg.Pages.Fail(w, r, err)
		return
	}
	s.cfg.Pages.Forget(w)
	if session != "" { // else any link would take them
		s.dropCookies(w)
	}
	if to == "" {
		s.cfg.Pages.SignedOut(w, r, leaves)
		return
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// dropCookies takes from the browser every cookie that a target may have left there: who
// signs out here is signed out.
func (s *Server) dropCookies(w http.ResponseWriter) {
	for _, t := range s.cfg.Definitions().Targets {
		for _, k := range t.Cookies() {
			http.SetCookie(w, &http.Cookie{Name: k.Name, Domain: k.Domain, Path: k.Path, MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
	}
}

// What people answer to whether they want to sign out, see [Pages].
const (
	leaves = "leave"
	stays  = "stay"
)

var (
	errAsk   = errors.New("provider: the person has to be asked")
	errStays = errors.New("provider: the person stays signed in")
)

// leave ends the browser's session, if that is what its person wants.
func (s *Server) leave(r *http.Request, q url.Values, session flows.Secret, caller flows.Caller) error {
	if session == "" {
		return nil // nobody is signed in
	}
	t, err := s.hint(r.Context(), q.Get("id_token_hint"))
	if err == nil && (!q.Has("client_id") || q.Get("client_id") == t.Audience) {
		if err := s.cfg.Engine.SignOutOf(r.Context(), session, t.Session, caller); !errors.Is(err, flows.ErrOther) {
			return err
		}
	}
	if errors.Is(err, flows.ErrUnavailable) {
		return err
	}
	switch s.cfg.Pages.AnswerOf(r, q) {
	case leaves:
		_, err = s.cfg.Engine.SignOut(r.Context(), session, caller)
		return err
	case stays:
		return errStays
	}
	return errAsk
}

// afterwards is where the client that asks wants the browser to be sent, if that is a place
// of its own: "" if not.
func (s *Server) afterwards(r *http.Request, q url.Values) (string, error) {
	id := q.Get("client_id")
	if t, err := s.hint(r.Context(), q.Get("id_token_hint")); err == nil && id == "" {
		id = t.Audience
	}
	c, err := s.client(r.Context(), id)
	to := q.Get("post_logout_redirect_uri")
	if err != nil || c == nil || to == "" || !slices.Contains(c.OAuth.SignedOut, to) {
		return "", err
	}
	u, err := url.Parse(to)
	if err != nil {
		return "", nil //nolint:nilerr // it was checked when it was read
	}
	if state := q.Get("state"); state != "" {
		query := u.Query()
		query.Set("state", state)
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}

// twice says whether a parameter stands there twice.
func twice(q url.Values) bool {
	for _, values := range q {
		if len(values) > 1 {
			return true
		}
	}
	return false
}
