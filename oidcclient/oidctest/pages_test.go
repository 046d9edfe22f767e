package oidctest_test

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func TestLoginPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.open(w.request("login_hint", `"><script>alert(1)</script>`))
	f, err := page.Form("password")
	if err != nil {
		t.Fatal(err)
	}
	if f.Types["password"] != "password" || f.Method != http.MethodPost || f.Fields.Get("csrf") == "" {
		t.Errorf("form: %+v", f)
	}
	if got := f.Fields.Get("username"); got != `"><script>alert(1)</script>` {
		t.Errorf("login_hint became %q", got)
	}
	if strings.Contains(string(page.Body), "<script>") {
		t.Error("login_hint is not escaped")
	}
	for _, label := range []string{`<label for="username">`, `<label for="password">`, `<html lang="en">`} {
		if !strings.Contains(string(page.Body), label) {
			t.Errorf("%s is missing", label)
		}
	}
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	csp := page.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self' com.example.app:"} {
		if !strings.Contains(csp, want) {
			t.Errorf("CSP lacks %q: %s", want, csp)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.open(w.request())
	var bodies []string
	for _, who := range [][2]string{{"alice", "wrong"}, {"nobody", password}, {"bob", password}, {"alice", ""}} {
		again := w.submit(page, "Sign in", map[string]string{"username": who[0], "password": who[1]})
		if again.Status != http.StatusUnauthorized || !strings.Contains(string(again.Body), `role="alert"`) {
			t.Errorf("%v: status %d", who, again.Status)
		}
		body := strings.ReplaceAll(string(again.Body), who[0], "NAME")
		nonce := body[strings.Index(body, `nonce="`)+7:]
		bodies = append(bodies, strings.ReplaceAll(body, nonce[:43], "NONCE"))
	}
	for _, body := range bodies[1:] {
		if body != bodies[0] {
			t.Errorf("unknown and known users look different:\n%s\n%s", bodies[0], body)
		}
	}
	if got := w.handed(w.open(w.request("prompt", "none"))).Get("error"); got != "login_required" {
		t.Errorf("signed in with a wrong password: %q", got)
	}
	if w.handed(w.submit(w.logIn(page), "Allow", nil)).Get("code") == "" {
		t.Error("the right password no longer works")
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.logIn(w.open(w.request()))
	for _, line := range []string{"<code>openid</code>", "<code>profile</code>", "<code>email</code>", "alice"} {
		if !strings.Contains(string(page.Body), line) {
			t.Errorf("the consent page lacks %s", line)
		}
	}
	got := w.handed(w.submit(page, "Deny", nil))
	if got.Get("error") != "access_denied" || got.Get("iss") != w.Issuer() || got.Get("state") != "the-state" || got.Has("code") {
		t.Errorf("response: %v", got)
	}
	// A denied request is over: pressing Allow afterwards does nothing.
	if again := w.submit(page, "Allow", nil); again.Handed != nil || again.Status != http.StatusBadRequest {
		t.Errorf("status %d, handed %v", again.Status, again.Handed)
	}
	// And nothing was remembered.
	if got := w.handed(w.open(w.request("prompt", "none"))).Get("error"); got != "consent_required" {
		t.Errorf("after denying: %q", got)
	}
}

func TestConsentCannotBeSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	login := w.open(w.request())
	f, err := login.Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	// Not signed in, straight to the consent form.
	a := w.post("/consent", form("request", f.Fields.Get("request"), "csrf", f.Fields.Get("csrf"), "decision", "allow"), "Cookie", w.cookies())
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/login?") {
		t.Errorf("consent before login: %d %s", a.Status, a.Header.Get("Location"))
	}
	// prompt=login with an old session: agreeing is not signing in.
	w.authorize(w.request())
	f, err = w.open(w.request("prompt", "login")).Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	a = w.post("/consent", form("request", f.Fields.Get("request"), "csrf", f.Fields.Get("csrf"), "decision", "allow"), "Cookie", w.cookies())
	if !strings.HasPrefix(a.Header.Get("Location"), "/login?") {
		t.Errorf("consent instead of login: %d %s", a.Status, a.Header.Get("Location"))
	}
}

func TestFormsAreBoundToBrowserAndPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.open(w.request())
	f, err := page.Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	id, csrf := f.Fields.Get("request"), f.Fields.Get("csrf")
	send := func(cookie string, fields ...string) int {
		all := append([]string{"request", id, "csrf", csrf, "username", "alice", "password", password}, fields...)
		return w.post("/login", form(all...), "Cookie", cookie).Status
	}
	if got := send(w.cookies(), "csrf", "another"); got != http.StatusForbidden {
		t.Errorf("wrong CSRF token: %d", got)
	}
	if got := send(w.cookies(), "csrf", ""); got != http.StatusForbidden {
		t.Errorf("no CSRF token: %d", got)
	}
	if got := send(""); got != http.StatusForbidden {
		t.Errorf("no cookie: %d", got)
	}
	other := newWorld(t)
	other.open(other.request())
	if got := send(strings.ReplaceAll(other.cookies(), port(other), port(w))); got != http.StatusForbidden {
		t.Errorf("another browser: %d", got)
	}
	if got := send(w.cookies(), "request", "unknown"); got != http.StatusBadRequest {
		t.Errorf("unknown request: %d", got)
	}
	w.clock.advance(11 * time.Minute)
	if got := send(w.cookies()); got != http.StatusBadRequest {
		t.Errorf("expired request: %d", got)
	}
}

func port(w *world) string { return w.Issuer()[strings.LastIndexByte(w.Issuer(), ':')+1:] }

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f, err := w.open(w.request()).Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	before := w.cookies()
	a := w.post("/login", form("request", f.Fields.Get("request"), "csrf", f.Fields.Get("csrf"), "username", "alice", "password", password), "Cookie", before)
	if a.Status != http.StatusSeeOther {
		t.Errorf("after the form: %d, not 303", a.Status)
	}
	cookie := a.Header.Get("Set-Cookie")
	for _, want := range []string{"oidctest_session_" + port(w), "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie lacks %s: %s", want, cookie)
		}
	}
	if strings.Contains(before, "session") {
		t.Errorf("a session cookie before the login: %s", before)
	}
}

// One request gives one answer, however often the button is pressed: sixteen
// forms at once, let in together, and each gives way to the others whenever it
// looks at the clock.
func TestSignInIsPressedByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidctest.Config) {
		now := c.Now
		c.Now = func() time.Time {
			runtime.Gosched()
			return now()
		}
	})
	w.authorize(w.request()) // so that no consent is needed
	f, err := w.open(w.request("prompt", "login")).Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	cookies := w.cookies()
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointLogin))
	var codes atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			a := w.post("/login", form("request", f.Fields.Get("request"), "csrf", f.Fields.Get("csrf"), "username", "alice", "password", password), "Cookie", cookies)
			if strings.Contains(a.Header.Get("Location"), "code=") {
				codes.Add(1)
			}
		})
	}
	for range 16 {
		<-gate.Held()
	}
	gate.Release()
	wg.Wait()
	if got := codes.Load(); got != 1 {
		t.Errorf("%d codes", got)
	}
}

// Who presses Allow must be the one to whom the page was shown.
func TestConsentIsOfTheOneWhoSawThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shown := w.logIn(w.open(w.request()))
	bob := map[string]string{"username": "bob", "password": "bob's password"}
	w.submit(w.open(w.request("prompt", "login")), "Sign in", bob) // in another tab
	again := w.submit(shown, "Allow", nil)
	if again.Handed != nil || !strings.Contains(string(again.Body), "<strong>bob</strong>") {
		t.Fatalf("bob was not asked: handed %v", again.Handed)
	}
	if w.handed(w.submit(again, "Allow", nil)).Get("code") == "" {
		t.Error("bob cannot agree")
	}
	// Nor does her login for a request serve him.
	shown = w.logIn(w.open(w.request("prompt", "login consent")))
	w.submit(w.open(w.request("prompt", "login")), "Sign in", bob)
	again = w.submit(shown, "Allow", nil)
	if _, err := again.Form("password"); err != nil {
		t.Errorf("bob need not sign in for a request with prompt=login: %v", err)
	}
	// Nor does agreeing before a demanded login count after it.
	page := w.open(w.request("prompt", "login consent"))
	f, err := page.Form("csrf")
	if err != nil {
		t.Fatal(err)
	}
	w.post("/consent", form("request", f.Fields.Get("request"), "csrf", f.Fields.Get("csrf"), "decision", "allow"), "Cookie", w.cookies())
	if page = w.logIn(page); page.Handed != nil {
		t.Error("agreed before the login")
	}
}

// A login makes a new session and forgets the one that the browser had.
func TestLoginReplacesSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	old := w.cookies()
	w.logIn(w.open(w.request("prompt", "login")))
	if old == w.cookies() {
		t.Fatal("the cookie is the same")
	}
	a := w.do(w.newRequest(http.MethodGet, w.request("prompt", "none"), "", "Cookie", old))
	if !strings.Contains(a.Header.Get("Location"), "error=login_required") {
		t.Errorf("the old session lives: %s", a.Header.Get("Location"))
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	w.clock.advance(8 * time.Hour)
	if got := w.handed(w.open(w.request("prompt", "none"))).Get("error"); got != "login_required" {
		t.Errorf("after eight hours: %q", got)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.get("/nothing"); a.Status != http.StatusNotFound {
		t.Errorf("/nothing: %d", a.Status)
	}
	if a := w.get("/token"); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET /token: %d", a.Status)
	}
	if a := w.post("/token", "code="+strings.Repeat("x", 2<<20)); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d", a.Status)
	}
	if a := w.get("/login?request=unknown"); a.Status != http.StatusBadRequest {
		t.Errorf("/login of nothing: %d", a.Status)
	}
	if got := w.Calls(oidctest.EndpointToken); got != 2 {
		t.Errorf("calls of the token endpoint: %d", got)
	}
}
