package contract_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
	"github.com/stile-auth/stile/oidcclient/oidctest/lemonldap"
)

// anywhere is one flow for every provider; only what "corporate" is differs.
const anywhere = `
flows:
  anywhere: { steps: [{ id: sso, type: sso, with: { provider: corporate } }, { id: code, type: totp }] }
targets:
  rp: { flow: anywhere, propagate: { type: bearer_jwt, audience: "https://rp.example" } }
clients:
  phone: { flows: [anywhere], targets: [rp], redirect_uris: ["com.bank.app:/oauth2"] }
providers:
  corporate: { issuer: %q, %s }
`

// other is a provider that others wrote, and what we are to it.
type other struct {
	issuer  string
	entry   string            // of the definitions, without the issuer
	files   map[string]string // of the configuration of the node, by its keys
	person  app.Person
	subject string
}

// opens starts a node that has this provider, with Jane, who is linked to whoever that
// person is there; and a phone in the person's hands.
func (o other) opens(t *testing.T) (*world, *phone) {
	t.Helper()
	w := &world{ctx: t.Context(), clock: newClock(), logger: zap.NewNop()}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "flows", "all.yaml"), fmt.Sprintf(anywhere, o.issuer, o.entry))
	has := "network: loopback"
	for key, text := range o.files {
		write(t, filepath.Join(dir, key), text)
		if key == "ca" {
			has += ", ca: ca"
		} else {
			has += fmt.Sprintf(", %s: { file: %s }", key, key)
		}
	}
	write(t, filepath.Join(dir, "stile.yaml"), "listen: 127.0.0.1:0\ndata_dir: data\nstore: { type: memory }\nhashing: { memory: 8, time: 1, threads: 1, concurrent: 64 }\ndefinitions: flows\n"+
		"providers: { corporate: { "+has+" } }\n")
	var err error
	w.cfg, err = config.Load(filepath.Join(dir, "stile.yaml"))
	must(t, err)
	w.start(t)
	t.Cleanup(func() { w.close(t) })
	w.added = w.add(t, users.Person{
		Login: login, Password: password, TOTP: true, Binding: assurance.AAL2, Links: []users.Link{{Issuer: o.issuer, Subject: o.subject}},
	})
	p := newPhone(t, w, "phone")
	p.browser, err = app.NewBrowser(app.BrowserConfig{Person: o.person})
	must(t, err)
	return w, p
}

// came is the answer that the person's browser has brought back to the app, in the way
// that the prompt speaks of.
func (p *phone) came() map[string]any {
	p.t.Helper()
	var asked struct{ AuthorizationRequestURI, ResponseMode string }
	must(p.t, json.Unmarshal(p.view.NextStep.Data, &asked))
	if asked.ResponseMode == "form_post" {
		return map[string]any{"form": p.posted(asked.AuthorizationRequestURI)}
	}
	back, err := p.browser.Open(p.w.ctx, asked.AuthorizationRequestURI, redirectURI)
	must(p.t, err)
	u, err := url.Parse(back)
	must(p.t, err)
	if asked.ResponseMode == "fragment" {
		return map[string]any{"queryString": u.EscapedFragment()}
	}
	return map[string]any{"queryString": u.RawQuery}
}

// posted goes through the pages of oidc-provider, and returns the form that the last one
// would have sent to the app.
func (p *phone) posted(address string) map[string]string {
	p.t.Helper()
	b, err := browser.New(browser.Config{})
	must(p.t, err)
	page, err := b.Open(p.w.ctx, address)
	must(p.t, err)
	page, err = page.Submit(p.w.ctx, "Sign-in", map[string]string{"login": "jane", "password": "any"})
	must(p.t, err)
	page, err = page.Submit(p.w.ctx, "Continue", nil)
	must(p.t, err)
	if len(page.Forms) != 1 {
		p.t.Fatalf("%s", page.Body)
	}
	fields := map[string]string{}
	for name := range page.Forms[0].Fields {
		fields[name] = page.Forms[0].Fields.Get(name)
	}
	return fields
}

// catchesUp sets the clock of the world to what others have.
func (c *clock) catchesUp() {
	if late := time.Since(c.now()); late > 0 {
		c.pass(late)
	}
}

// signsOn runs the flow to its end and holds the token against who was there, and how.
func (p *phone) signsOn(t *testing.T) {
	t.Helper()
	w := p.w
	w.clock.catchesUp()
	p.start("target", "rp")
	asked := p.view.NextStep
	if r := p.send(http.MethodPost, asked.forward(), `{"queryString":"code=x&state=another"}`); !r.is(422, "wrong_answer") {
		t.Errorf("an answer that is somebody else's: %d %s", r.status, r.body)
	}
	p.view = p.show().view
	answer := p.came()
	w.clock.catchesUp()
	if r := p.post(p.view.NextStep.forward(), answer); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	token := p.finish()
	got := w.reads(t, token)
	if got.ACR != "aal1" || !slices.Equal(got.AMR, []string{"mfa", "otp", "pwd"}) || w.claimsOf(t, token)["sub"] != w.added.Subject {
		t.Errorf("reads %+v of %v", got, w.claimsOf(t, token)["sub"])
	}
	p.start("target", "rp")
	if r := p.post(p.view.NextStep.forward(), answer); !r.is(422, "wrong_answer") {
		t.Errorf("the same answer in another run: %d %s", r.status, r.body)
	}
}

// npm is oidc-provider, where Jane signs on; the client is one of those registered there.
func npm(idp *certified.Provider, client, more string) other {
	o := other{
		issuer: idp.Issuer, entry: "client_id: " + client + ", " + more, files: map[string]string{},
		person: app.Person{Username: "jane", Password: "any"}, subject: "jane",
	}
	for key, text := range map[string]string{"client_secret": idp.ClientSecret, "client_key": idp.ClientKey} {
		if strings.Contains(more, key) {
			o.files[key] = text
		}
	}
	return o
}

// One flow signs people on at providers that others wrote, each in a process of its own, in
// each of the ways that they have.
func TestProvidersOfOthers(t *testing.T) {
	t.Parallel()
	const secret = "client_secret: { file: secret }"
	idp, plain, lemon := certified.Open(t, os.Getenv), certified.OpenPlain(t, os.Getenv), lemonldap.Open(t)
	lemonAt := func(more string) other {
		return other{
			issuer: lemon.Issuer, entry: "client_id: " + lemon.ClientID + ", " + secret + more, files: map[string]string{"client_secret": lemon.ClientSecret},
			person: app.Person{Username: lemonldap.Person, Password: lemonldap.Person}, subject: lemonldap.Person,
		}
	}
	rows := map[string]other{
		"LemonLDAP::NG":            lemonAt(""),
		"LemonLDAP::NG, fragment":  lemonAt(", response_mode: fragment"),
		"LemonLDAP::NG, in a form": lemonAt(", client_authentication: client_secret_post"),
		"LemonLDAP::NG, UserInfo":  lemonAt(", userinfo: true, scopes: [openid, email]"),
		"OAuth 2.0 of others":      plainOf(plain),
		"oidc-provider":            npm(idp, "stile", secret),
		"secret in the form":       npm(idp, "post", secret+", client_authentication: client_secret_post"),
		"a signed assertion":       npm(idp, "key", "client_key: { file: key }, client_key_id: stile-1"),
		"a public client":          npm(idp, "public", "scopes: [openid]"),
		"requests are pushed":      npm(idp, "pushed", secret+", par: always"),
		"requests are not pushed":  npm(idp, "stile", secret+", par: never"),
		"tokens are bound":         npm(idp, "bound", secret+", dpop: true"),
		"query":                    npm(idp, "stile", secret+", response_mode: query"),
		"fragment":                 npm(idp, "stile", secret+", response_mode: fragment"),
		"form_post":                npm(idp, "stile", secret+", response_mode: form_post"),
		"UserInfo":                 npm(idp, "stile", secret+", userinfo: true, scopes: [openid, email]"),
		"endpoints by hand":        npm(idp, "stile", secret+fmt.Sprintf(", endpoints: { authorization: %q, token: %q, keys: %q }", idp.Issuer+"/auth", idp.Issuer+"/token", idp.Issuer+"/jwks")),
		"a certificate of our own": withCertificate(t),
	}
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		rows["signed "+alg] = npm(idp, "alg-"+alg, secret)
	}
	for _, alg := range []string{"RS384", "RS512", "PS384", "PS512", "ES512"} {
		rows["signed "+alg] = npm(idp, "alg-"+alg, secret+", algorithms: ["+alg+"]")
	}
	for name, o := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, p := o.opens(t)
			p.signsOn(t)
		})
	}
}

func plainOf(idp *certified.Provider) other {
	return other{
		issuer: idp.Issuer, entry: fmt.Sprintf("client_id: %s, client_secret: { file: secret }, protocol: oauth2, scopes: [read:user], user: { subject: id, email: email }, "+
			"endpoints: { authorization: %q, token: %q, userinfo: %q }", idp.ClientID, idp.Issuer+"/authorize", idp.Issuer+"/token", idp.Issuer+"/user"),
		files: map[string]string{"client_secret": idp.ClientSecret}, person: app.Person{Username: "jane", Password: "any"}, subject: "4200",
	}
}

// withCertificate is oidc-provider behind TLS, where we show a certificate (RFC 8705 §2.1).
func withCertificate(t *testing.T) other {
	t.Helper()
	authority := certified.Pair(t, "authority", nil)
	certificate, key := certified.PEM(t, certified.Pair(t, "stile", authority))
	ca, _ := certified.PEM(t, authority)
	o := npm(certified.OpenTLS(t, os.Getenv, authority), "tls", "client_certificate: { file: certificate }, client_key: { file: key }")
	o.files = map[string]string{"client_certificate": string(certificate), "client_key": string(key), "ca": string(ca)}
	return o
}

// A provider that changes its key while both run is followed; what the old one has signed
// opens nothing any more.
func TestProviderOfOthersRotates(t *testing.T) {
	t.Parallel()
	idp := certified.Open(t, os.Getenv)
	w, p := npm(idp, "stile", "client_secret: { file: secret }").opens(t)
	for range 3 {
		p.signsOn(t)
		must(t, idp.Rotate())
		w.clock.pass(10 * time.Second) // between two questions for an unknown key
	}
}

// What providers refuse, and what we refuse of them, lets nobody in: with the reason in the trail.
func TestProvidersOfOthersRefuse(t *testing.T) {
	t.Parallel()
	const secret = "client_secret: { file: secret }"
	idp := certified.Open(t, os.Getenv)
	wrong := func(o other) other {
		o.files = map[string]string{"client_secret": "wrong"}
		return o
	}
	rows := map[string]struct {
		other

		status       int
		code, reason string
	}{
		"signed with our secret": {npm(idp, "alg-HS256", secret), 422, "wrong_answer", "algorithm"},
		"another secret":         {wrong(npm(idp, "stile", secret+", par: never")), 503, "dependency_unavailable", ""},
		"nobody whom we know":    {npm(idp, "stile", secret), 403, "access_denied", "denied"},
	}
	for _, alg := range []string{"RS384", "RS512", "PS384", "PS512", "ES512"} {
		r := rows["signed with our secret"]
		r.other = npm(idp, "alg-"+alg, secret)
		rows["signed "+alg+", which is not configured"] = r
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.reason == "denied" {
				row.subject = "somebody-else"
			}
			w, p := row.opens(t)
			p.start("flow", "anywhere")
			answer := p.came()
			w.clock.catchesUp()
			if r := p.post(p.view.NextStep.forward(), answer); !r.is(row.status, row.code) {
				t.Errorf("%d %s", r.status, r.body)
			}
			if row.reason == "algorithm" && !slices.ContainsFunc(w.events(t), func(e flows.Event) bool { return strings.Contains(e.Reason, row.reason) }) {
				t.Errorf("the trail does not say why: %+v", w.events(t))
			}
		})
	}
}
