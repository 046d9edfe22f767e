package webui

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Path is where the pages are, below the base URL.
const Path = "/handover"

// maxForm bounds what a form may send, in bytes.
const maxForm = 64 << 10

// engine is what the pages need; [flows.Engine] has it.
type engine interface {
	handovers
	links
	runs
}

type handovers interface {
	Linked(ctx context.Context, link flows.Secret, requestID string) (flows.Page, error)
	OpenLink(ctx context.Context, link flows.Secret, requestID string) (flows.Secret, error)
	Page(ctx context.Context, page flows.Secret, requestID string) (flows.Page, error)
	AnswerPage(ctx context.Context, page flows.Secret, turn int, in flows.Input, requestID string) (redirect string, err error)
}

type links interface {
	MailedLink(ctx context.Context, link flows.Secret, requestID string) (flows.LinkPage, error)
	ConfirmLink(ctx context.Context, link flows.Secret, requestID string) (flows.LinkPage, error)
	DenyLink(ctx context.Context, link flows.Secret, requestID string) (flows.LinkPage, error)
}

var _ engine = (*flows.Engine)(nil)

// Config is what the pages are made of. All fields are required.
type Config struct {
	Engine   engine                    // a *flows.Engine
	Messages func() *flowdefs.Messages // the texts of the active definitions
	BaseURL  string                    // external origin, e.g. "https://auth.example"
	Logger   *zap.Logger               // failures

	Returner Returner         // for whom browsers run flows; default: none do
	Typed    []string         // codes of the prompts whose answers are typed; needed with Returner
	Now      func() time.Time // needed with Returner: how long pages wait
}

// Pages is the handler of everything at and below [Path], [LinkPath], [SignInPath] and
// [CallbackPath]. It is safe for concurrent use.
type Pages struct {
	Config
	handler  http.Handler
	draws    []string
	secure   bool // https: the cookie is for this host alone
	template *template.Template
	bare     string // the policy, but for where forms may lead
	csp      string // which is here
}

//go:embed page.tmpl
var pageText string

// style is all the style there is; the policy knows it by its hash.
const style = "body{font:1.125rem/1.5 sans-serif;margin:2rem auto;max-width:30rem;padding:0 1rem;color:#111;background:#fff}" +
	"input{font:inherit;padding:.25rem;max-width:100%}button{font:inherit;padding:.5rem 1rem}label{display:inline-block}img{max-width:100%;height:auto}code{overflow-wrap:anywhere}" +
	"a,button,input{min-height:1.5rem}:focus-visible{outline:.2rem solid #05c;outline-offset:.1rem}[role=alert]{border-left:.25rem solid #b00;padding-left:.5rem}"

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	u, err := url.Parse(cfg.BaseURL)
	if cfg.Engine == nil || cfg.Messages == nil || cfg.Logger == nil || cfg.Returner != nil && cfg.Now == nil || err != nil || u.Host == "" {
		return nil, errors.New("webui: Engine, Messages, BaseURL and Logger are required")
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("webui: %w", err)
	}
	p := &Pages{
		Config: cfg, draws: append(drawable(), cfg.Typed...), secure: u.Scheme == "https", template: t,
		bare: "default-src 'none'; style-src " + hashOf(style) + "; base-uri 'none'; frame-ancestors 'none'",
	}
	p.csp = p.bare + "; form-action 'self'"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path+"/{link}", p.showLink)
	mux.HandleFunc("POST "+Path+"/{link}", p.openLink)
	mux.HandleFunc("GET "+Path, p.show)
	mux.HandleFunc("POST "+Path, p.answer)
	mux.HandleFunc("GET "+LinkPath+"/{link}", p.showMailed)
	mux.HandleFunc("POST "+LinkPath+"/{link}", p.answerMailed)
	mux.HandleFunc("GET "+SignInPath, p.showPrompt)
	mux.HandleFunc("POST "+SignInPath, p.answerPrompt)
	mux.HandleFunc("GET "+CallbackPath+"/{provider}", p.callback)
	mux.HandleFunc("POST "+CallbackPath+"/{provider}", p.callbackForm)
	p.handler = p.around(mux)
	return p, nil
}

// allow lets a page do what it has to: lead where its run goes back to (else the
// browser would not), show a picture that it brings along, run our script.
func (p *Pages) allow(w http.ResponseWriter, v view, target string) {
	policy := p.csp + " " + target
	if v.Picture != "" {
		policy += "; img-src data:"
	}
	if v.Script != "" {
		policy += "; script-src " + hashOf(string(v.Script))
	}
	w.Header().Set("Content-Security-Policy", policy)
}

// ServeHTTP answers requests for pages.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// headers sets what every answer has.
func (p *Pages) headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", p.csp)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer") // the address of a page may be a secret
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if requestID(w) == "" { // otherwise it is named already
		h.Set("X-Request-Id", rand.Text())
	}
}

// around gives every answer its headers, and refuses forms of others.
func (p *Pages) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.headers(w)
		foreign := strings.HasPrefix(r.URL.Path, CallbackPath+"/") // providers post from where they are
		if r.Method == http.MethodPost && !p.ours(r) && !foreign {
			p.fail(w, r, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours says whether a form was sent by one of these pages, as far as the browser
// tells: Fetch Metadata, else Origin. A browser that tells neither has the tokens.
func (p *Pages) ours(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == p.BaseURL
}

// showLink says who asks. It does not spend the link.
func (p *Pages) showLink(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	page, err := p.Engine.Linked(r.Context(), flows.Secret(link), requestID(w))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	s := p.speaker(page.Locale, r)
	s.write(w, p, http.StatusOK, view{
		Title: s.say("page.title", nil), Texts: []string{s.say("page.for", map[string]string{"client": page.Client})},
		Button: s.say("action.submit", nil), Action: Path + "/" + link,
	})
}

// openLink spends the link: from now on this browser alone has the page.
func (p *Pages) openLink(w http.ResponseWriter, r *http.Request) {
	secret, err := p.Engine.OpenLink(r.Context(), flows.Secret(r.PathValue("link")), requestID(w))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.setCookie(w, p.cookieName(), string(secret), 0)
	seeOther(w, Path)
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request) {
	secret, page, err := p.page(w, r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.draw(w, r, secret, page, http.StatusOK, "")
}

func (p *Pages) page(w http.ResponseWriter, r *http.Request) (string, flows.Page, error) {
	c, err := r.Cookie(p.cookieName())
	if err != nil {
		return "", flows.Page{}, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound, Err: err}
	}
	page, err := p.Engine.Page(r.Context(), flows.Secret(c.Value), requestID(w))
	return c.Value, page, err
}

// draw shows the prompt; wrong says what was wrong with the last form.
func (p *Pages) draw(w http.ResponseWriter, r *http.Request, secret string, page flows.Page, status int, wrong string) {
	s := p.speaker(page.Locale, r)
	v, err := p.drawn(s, page)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v.Action, v.Hidden = Path, []pair{{"_turn", strconv.Itoa(page.Turn)}, {"_token", token(secret, page.Turn)}}
	if wrong != "" {
		v.Wrong = wrong
	}
	p.allow(w, v, formTarget(page.Redirect))
	s.write(w, p, status, v)
}

// answer keeps what was typed and sends the browser back to the app.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request) {
	secret, page, err := p.page(w, r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	values, ok := posted(w, r)
	turn := strconv.Itoa(page.Turn)
	if !ok || values.Get("_turn") != turn || !hmac.Equal([]byte(values.Get("_token")), []byte(token(secret, page.Turn))) {
		p.fail(w, r, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound})
		return
	}
	in, err := inputOf(page, values)
	if err != nil {
		s := p.speaker(page.Locale, r)
		p.draw(w, r, secret, page, http.StatusUnprocessableEntity, s.say(flowdefs.FailureMessage(flows.CodeWrongAnswer), nil))
		return
	}
	redirect, err := p.Engine.AnswerPage(r.Context(), flows.Secret(secret), page.Turn, in, requestID(w))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.setCookie(w, p.cookieName(), "", -1)
	w.Header().Set("Content-Security-Policy", p.csp+" "+formTarget(page.Redirect))
	seeOther(w, redirect)
}

// posted reads a form; false for what is none.
func posted(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, false
	}
	return r.PostForm, true
}

// token proves that a form is of the page that this cookie got, in this turn.
func token(secret string, turn int) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "stile form\x00%d", turn)
	return hex.EncodeToString(mac.Sum(nil))
}

func (p *Pages) cookieName() string { return p.named("handover") }

// named binds a cookie to this host where that is possible: with TLS (RFC 6265bis §4.1.3.2).
func (p *Pages) named(cookie string) string {
	if p.secure {
		return "__Host-stile-" + cookie
	}
	return "stile-" + cookie
}

func (p *Pages) setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS; without it the pages are on this machine only
		Name: name, Value: value, Path: "/", MaxAge: age, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// fail shows the one page for everything that is not right, or that something does not work.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, id := http.StatusInternalServerError, flowdefs.FailureMessage(flows.CodeInternal)
	if errors.Is(err, flows.ErrUnavailable) {
		status, id = http.StatusServiceUnavailable, flowdefs.FailureMessage(flows.CodeUnavailable)
	}
	var pr *flows.Problem
	if errors.As(err, &pr) {
		switch pr.Kind {
		case flows.KindNotFound:
			status, id = http.StatusNotFound, "page.gone"
		case flows.KindUnavailable:
			status, id = http.StatusServiceUnavailable, flowdefs.FailureMessage(flows.CodeUnavailable)
		default: // a mistake of ours
		}
	}
	if status >= http.StatusInternalServerError {
		p.Logger.Error("page", zap.String("request_id", requestID(w)), zap.Int("status", status), zap.Error(err))
	}
	p.Refuse(w, r, status, id)
}

// Refuse is a page with one text.
func (p *Pages) Refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	p.headers(w)
	s := p.speaker("", r)
	s.write(w, p, status, view{Title: s.say("page.title", nil), Texts: []string{s.say(message, nil)}})
}

func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// seeOther sends the browser on; the address may be of any scheme, and is nobody else's to read.
func seeOther(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// formTarget is what a policy calls the place of a redirect URI: an origin, or a scheme of its own.
func formTarget(redirect string) string {
	u, err := url.Parse(redirect)
	if err != nil || strings.ContainsAny(u.Host, " ;,") {
		return ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// formTargets is the same of a relying party, which may sign people on for another one:
// browsers hold every redirect of the chain that a form begins against the policy (CSP
// Level 3 §6.4.1), and only its first link is known here.
func formTargets(redirect string) string {
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme == "https" || u.Scheme == "" {
		return "https:"
	}
	return "https: " + u.Scheme + ":"
}
