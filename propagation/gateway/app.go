package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/propagation/rp"
)

// App is an application that runs in browsers and has no tokens: the gateway signs its
// people in, as a confidential client of the authorization server, and keeps their tokens
// in a sealed cookie. Nothing of it is kept here.
type App struct {
	Name     string // for people
	Origin   string // that it is loaded from, as that of a [Resource]
	Client   string // client_id
	Secret   string // of the client
	Audience string // of its tokens
	Scopes   []string
	Cookie   string // resources of the Origin that name it take it
}

// Sealer encrypts what a browser keeps for us; seal.Sealer does.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// The paths of an app's sign-in, at its origin.
const (
	PathApp      = "/bff/"
	pathLogin    = PathApp + "login"
	pathCallback = PathApp + "callback"
	pathRefresh  = PathApp + "refresh"
	pathSession  = PathApp + "session"
	pathLogout   = PathApp + "logout"
)

// maxCookie is what every browser keeps of a cookie, with its name and attributes (RFC
// 6265bis §5.5).
const maxCookie = 4096 - 100

// check adds what is wrong with an app, and says whether nothing is.
func (a *App) check(m *mistakes) bool {
	like := Resource{Name: a.Name, Origin: a.Origin, Path: "/", For: ForToken, Audience: a.Audience, Cookie: a.Cookie, Rule: rp.Rule{Scopes: a.Scopes}}
	ok := like.check(AboutApp, m)
	if a.Client == "" || a.Secret == "" || a.Cookie == "" {
		m.add(AboutApp, a.Name, "the client, its secret and the cookie are required")
		return false
	}
	return ok
}

// apps are the apps by authority.
type apps map[string]*App

func newApps(of []App, m *mistakes) apps {
	all := apps{}
	for i := range of {
		a := &of[i]
		if !a.check(m) {
			continue
		}
		scheme, host, _ := strings.Cut(a.Origin, "://")
		at := authority(host, scheme)
		if other := all[at]; other != nil {
			m.add(AboutApp, a.Name, "apps %s and %s have one origin", other.Name, a.Name)
		}
		all[at] = a
	}
	return all
}

// at finds the app of a host; nil if there is none.
func (a apps) at(host string) *App {
	for _, scheme := range []string{"https", "http"} {
		if app := a[authority(host, scheme)]; app != nil && strings.HasPrefix(app.Origin, scheme+"://") {
			return app
		}
	}
	return nil
}

// holds says whether the cookie of a resource is a sealed one of this app.
func (a *App) holds(r *Resource) bool {
	return a != nil && r.Origin == a.Origin && r.Cookie == a.Cookie
}

// kept is what the browser keeps, sealed.
type kept struct {
	Access  string `json:"a"`
	Refresh string `json:"r,omitempty"`
}

// attempt is a sign-in that has begun.
type attempt struct {
	State    string    `json:"s"`
	Verifier string    `json:"v"`
	To       string    `json:"t"`
	Until    time.Time `json:"u"`
}

// place binds a sealed value to the app and to what it is for.
func (a *App) place(use string) []byte {
	return []byte("gateway/" + use + "\x00" + a.Origin + "\x00" + a.Client)
}

const (
	useSession = "session"
	useLogin   = "login"
)

func (g *Gateway) seal(a *App, use string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sealed, err := g.sealer.Seal(text, a.place(use))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// errSealed says that a cookie is none of ours, of this app and for this use.
var errSealed = errors.New("gateway: the cookie does not open")

func (g *Gateway) open(a *App, use, text string, v any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSealed
	}
	if text, err := g.sealer.Open(sealed, a.place(use)); err != nil || json.Unmarshal(text, v) != nil {
		return errSealed
	}
	return nil
}

// session is what the one session cookie of a request holds.
func (g *Gateway) session(a *App, h http.Header) (kept, error) {
	values := cookies(h, a.Cookie)
	var k kept
	if len(values) != 1 {
		return k, errSealed
	}
	err := g.open(a, useSession, values[0], &k)
	return k, err
}

// put has the browser keep a value, or, if it is empty, forget it.
func (a *App) put(w http.ResponseWriter, name, value string, same http.SameSite) error {
	if len(name)+len(value) > maxCookie {
		return errors.New("gateway: the tokens are too long for a cookie: leave claims out")
	}
	c := http.Cookie{Name: name, Value: value, Path: "/", Secure: strings.HasPrefix(a.Origin, "https:"), HttpOnly: true, SameSite: same} //nolint:gosec // without TLS it is a test on this machine
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, &c)
	return nil
}

func (a *App) loginCookie() string { return a.Cookie + "-login" }

// keep has the browser keep the tokens of a sign-in. It sends them on requests of the app's
// own pages alone.
func (g *Gateway) keep(w http.ResponseWriter, a *App, k kept) error {
	value, err := g.seal(a, useSession, k)
	if err != nil {
		return err
	}
	return a.put(w, a.Cookie, value, http.SameSiteStrictMode)
}

// homeward is where a browser is sent after the sign-in: a path of the app.
func homeward(to string) string {
	path, _, _ := strings.Cut(to, "?")
	if _, err := canonical(path); err != nil || strings.HasPrefix(path, PathApp) || strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' || c == '#' }) {
		return "/"
	}
	return to
}

// asks are what a script may say of a sign-in, as RFC 9470 §4 has it.
func (a *App) asks(q url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{"acr_values", "max_age"} {
		if q.Get(name) != "" {
			out.Set(name, q.Get(name))
		}
	}
	if len(a.Scopes) > 0 {
		out.Set("scope", strings.Join(slices.Clone(a.Scopes), " "))
	}
	return out
}
