package contract_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

const ssoPrompt = "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED"

// parameters are those of the authorization request that waits.
func (p *phone) parameters() map[string]string {
	p.t.Helper()
	var data struct{ Parameters map[string]string }
	must(p.t, json.Unmarshal(p.view.NextStep.Data, &data))
	return data.Parameters
}

// forwards sends a query to the SSO step as it is.
func forwards(query string) func(p *phone) reply {
	return func(p *phone) reply {
		return p.send(http.MethodPost, p.view.NextStep.forward(), text(p.t, map[string]any{"queryString": query}))
	}
}

// Half a response is none: nothing is rejected, nothing is counted.
func TestHalfResponses(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: corners, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			p.start("flow", "sign-on")
			state, issuer := p.parameters()["state"], url.QueryEscape(w.provider.Issuer())
			for name, query := range map[string]string{
				"a question mark":     "?",
				"only a code":         "code=x",
				"only a state":        "state=" + state,
				"only an issuer":      "iss=" + issuer,
				"no state":            "code=x&iss=" + issuer,
				"an empty state":      "code=x&state=&iss=" + issuer,
				"an empty code":       "code=&state=" + state + "&iss=" + issuer,
				"an empty error":      "error=&state=" + state + "&iss=" + issuer,
				"not a query":         "code=%zz&state=" + state,
				"separated otherwise": "code=x;state=" + state,
				"too long":            "code=" + strings.Repeat("x", 20<<10) + "&state=" + state + "&iss=" + issuer,
				"the fragment's form": "#code=x&state=" + state,
			} {
				refuses(t, p, refusal{name, forwards(query), 400, "invalid_request"})
			}
			for name, query := range map[string]string{
				"server_error":            "error=server_error&state=" + state + "&iss=" + issuer,
				"temporarily_unavailable": "error=temporarily_unavailable&state=" + state + "&iss=" + issuer,
			} {
				refuses(t, p, refusal{name, forwards(query), 503, "dependency_unavailable"})
			}
			if w.provider.Calls(oidctest.EndpointToken) != 0 {
				t.Error("the token endpoint was asked")
			}
			p.t = t
			p.finish()
		})
	}
}

// rejects sends a wrong answer: the step waits as before, nothing is proved, one event.
func rejects(t *testing.T, p *phone, name, reason string, send func(p *phone) reply) {
	t.Helper()
	p.t = t
	before, events := p.show(), len(p.w.events(t))
	r := send(p)
	if !r.is(422, "wrong_answer") || r.view.Handle != "" || r.view.Result != nil {
		t.Errorf("%s: %d %s", name, r.status, r.body)
	}
	after := p.show()
	if after.view.NextStep == nil || after.view.NextStep.StepID != before.view.NextStep.StepID ||
		after.view.Flow.Status != "in_progress" || text(t, after.view.Assurance) != text(t, before.view.Assurance) ||
		after.view.Flow.Turn != before.view.Flow.Turn+1 {
		t.Errorf("%s:\n%s%s", name, before.body, after.body)
	}
	if got := p.w.events(t)[events:]; len(got) != 1 || got[0].Type != flows.EventStepRejected || got[0].Reason != reason {
		t.Errorf("%s: %+v, want %s", name, got, reason)
	}
	p.view = after.view
}

// A response that is not to this request, or that lies, is a wrong answer;
// what the provider says wrongly too.
func TestLyingResponses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	foreign := newPhone(t, w, "phone")
	foreign.start("flow", "sign-on")
	stolen, err := url.ParseQuery(foreign.signOn())
	must(t, err)
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	for name, edit := range map[string]func(url.Values){
		"state of another run":      set("state", stolen.Get("state")),
		"state in capitals":         func(q url.Values) { q.Set("state", strings.ToUpper(q.Get("state"))+"A") },
		"state cut short":           func(q url.Values) { q.Set("state", q.Get("state")[:10]) },
		"another issuer":            set("iss", "https://evil.example"),
		"the issuer with a slash":   set("iss", w.provider.Issuer()+"/"),
		"an empty issuer":           set("iss", ""),
		"no issuer":                 func(q url.Values) { q.Del("iss") },
		"two states":                func(q url.Values) { q.Add("state", "x") },
		"two codes":                 func(q url.Values) { q.Add("code", "x") },
		"two issuers":               func(q url.Values) { q.Add("iss", w.provider.Issuer()) },
		"a code and an error":       set("error", "access_denied"),
		"the response to another":   func(q url.Values) { clear(q); set("code", "x")(q); set("state", stolen.Get("state"))(q) },
		"an error that is no error": func(q url.Values) { q.Del("code"); q.Set("error", "<script>") },
	} {
		p := newPhone(t, w, "phone")
		p.start("flow", "sign-on")
		q, err := url.ParseQuery(p.signOn())
		must(t, err)
		asked := w.provider.Calls(oidctest.EndpointToken)
		good := q.Encode()
		edit(q)
		rejects(t, p, name, "response", forwards(q.Encode()))
		if w.provider.Calls(oidctest.EndpointToken) != asked {
			t.Errorf("%s: the code was sent", name)
		}
		if r := forwards(good)(p); r.status != http.StatusOK || r.view.Flow.Status != "completed" {
			t.Errorf("%s: the true response afterwards: %d %s", name, r.status, r.body)
		}
	}
	for name, code := range map[string]string{"a code of another run (PKCE)": stolen.Get("code"), "a code that there is not": "x"} {
		p := newPhone(t, w, "phone")
		p.start("flow", "sign-on")
		state := p.parameters()["state"]
		rejects(t, p, name, "refused", forwards(url.Values{"code": {code}, "state": {state}, "iss": {w.provider.Issuer()}}.Encode()))
		if p.parameters()["state"] == state {
			t.Errorf("%s: the request is used up, and still waits", name)
		}
		p.finish()
	}
}

// lies are what a provider may say in its tokens and must not be believed.
func lies(t *testing.T) map[string]oidctest.Fault {
	t.Helper()
	stranger, err := oidctest.NewKey("ES256")
	must(t, err)
	all := map[string]oidctest.Fault{
		"another nonce":         oidctest.SetClaim("nonce", "x"),
		"nonce as a list":       oidctest.SetClaim("nonce", []string{"x"}),
		"another issuer":        oidctest.SetClaim("iss", "https://evil.example"),
		"another audience":      oidctest.SetClaim("aud", "evil"),
		"several audiences":     oidctest.Audiences("", "evil"),
		"several, with our azp": oidctest.Audiences("stile", "evil"),
		"azp of another":        oidctest.SetClaim("azp", "evil"),
		"expired":               oidctest.ShiftTimes(-time.Hour),
		"from the future":       oidctest.ShiftTimes(time.Hour),
		"another access token":  oidctest.WrongATHash(),
		"empty subject":         oidctest.SetClaim("sub", ""),
		"subject as a number":   oidctest.SetClaim("sub", 17),
		"two subjects":          oidctest.DuplicateClaim("sub", "admin"),
		"two algorithms":        oidctest.DuplicateHeader("alg", "none"),
		"critical header":       oidctest.SetHeader("crit", []string{"exp"}),
		"of a strange key":      oidctest.SignedBy(stranger, false),
		"of a key with our id":  oidctest.SignedBy(stranger, true),
		"with its own key":      oidctest.EmbeddedKey(stranger),
		"unsigned":              oidctest.AlgNone("none"),
		"unsigned, in disguise": oidctest.AlgNone("nOnE"),
		"signed with the PEM":   oidctest.HMACWithPublicKey(oidctest.Key.PEM),
		"stripped":              oidctest.StripSignature(),
		"broken":                oidctest.BreakSignature(),
		"no ID token":           oidctest.DropMembers(oidctest.EndpointToken, "id_token"),
		"no token type":         oidctest.DropMembers(oidctest.EndpointToken, "token_type"),
		"another token type":    oidctest.SetMember(oidctest.EndpointToken, "token_type", "mac"),
		"half an answer":        oidctest.Body(oidctest.EndpointToken, "application/json", `{"access_token":`),
		"two ID tokens":         oidctest.DoubleMember(oidctest.EndpointToken, "id_token", "x.y.z"),
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "iat", "nonce"} {
		all["without "+claim] = oidctest.DropClaims(claim)
	}
	return all
}

func TestLyingProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners, store: "sqlite"})
	defer w.close(t)
	for name, lie := range lies(t) {
		p := newPhone(t, w, "phone")
		p.start("flow", "sign-on")
		query, state := p.signOn(), p.parameters()["state"]
		w.provider.Misbehave(lie)
		reason := "refused"
		if name == "signed with the PEM" {
			reason = "algorithm"
		}
		rejects(t, p, name, reason, forwards(query))
		w.provider.Behave()
		if p.parameters()["state"] == state {
			t.Errorf("%s: the request is used up, and still waits", name)
		}
		rejects(t, p, name+", sent again", "response", forwards(query))
		p.finish()
	}
}

// A provider that is down or speaks nonsense is an outage: 503, nothing
// changed, and the person can sign on when it is back.
func TestProviderOutage(t *testing.T) {
	t.Parallel()
	slow := &http.Transport{ResponseHeaderTimeout: 200 * time.Millisecond}
	t.Cleanup(slow.CloseIdleConnections)
	w := newWorld(t, t, setup{definitions: corners, transport: slow})
	defer w.close(t)
	gate := oidctest.NewGate()
	defer gate.Release()
	for name, fault := range map[string]oidctest.Fault{
		"slow":            gate.Hold(oidctest.EndpointToken),
		"failing":         oidctest.Status(oidctest.EndpointToken, 500),
		"busy":            oidctest.Status(oidctest.EndpointToken, 503),
		"a web page":      oidctest.Body(oidctest.EndpointToken, "text/html", "<p>Oops"),
		"cut off":         oidctest.Cut(oidctest.EndpointToken),
		"endless":         oidctest.Endless(oidctest.EndpointToken),
		"no access token": oidctest.DropMembers(oidctest.EndpointToken, "access_token"),
		"sent elsewhere":  oidctest.RedirectTo(oidctest.EndpointToken, "http://127.0.0.1:1/"),
		"not us, it says": oidctest.Body(oidctest.EndpointToken, "application/json", `{"error":"invalid_client"}`),
	} {
		p := newPhone(t, w, "phone")
		p.start("flow", "sign-on")
		query := p.signOn()
		w.provider.Misbehave(fault)
		refuses(t, p, refusal{name, forwards(query), 503, "dependency_unavailable"})
		w.provider.Behave()
		w.clock.pass(time.Minute) // what may be under way is over
		if got := forwards(query)(p); !got.is(422, "wrong_answer") || got.view.NextStep == nil || got.view.NextStep.Type != ssoPrompt {
			t.Errorf("%s, the same response again: %d %s", name, got.status, got.body)
		}
		p.view = p.show().view
		p.finish()
	}
	down(t)
}

// down: a start that needs a provider nobody has reached yet.
func down(t *testing.T) {
	t.Helper()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	for name, spoil := range map[string]func(){
		"down":        w.provider.Down,
		"no metadata": func() { w.provider.Misbehave(oidctest.Status(oidctest.EndpointDiscovery, 404)) },
		"another issuer": func() {
			w.provider.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "https://evil.example"))
		},
	} {
		spoil()
		events := len(w.events(t))
		if r := p.send(http.MethodPost, "/v1/flows", `{"clientId":"phone","flow":"sign-on"}`); !r.is(503, "dependency_unavailable") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if got := w.events(t)[events:]; len(got) != 1 || got[0].Type != flows.EventRefused {
			t.Errorf("%s: %+v", name, got)
		}
		w.provider.Behave()
		w.clock.pass(time.Minute)
	}
	p.start("flow", "sign-on")
	query := p.signOn()
	w.provider.Misbehave(oidctest.Status(oidctest.EndpointJWKS, 500))
	refuses(t, p, refusal{"keys that nobody has read yet", forwards(query), 503, "dependency_unavailable"})
	w.provider.Behave()
	w.clock.pass(time.Minute)
	p.start("flow", "sign-on")
	p.finish()
}

// Who is unknown to us, or may not come in, is told the same by the same answer.
func TestUnlinkedAndBarredLookAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	barred := w.add(t, users.Person{Login: "barred", Links: []users.Link{{Issuer: w.provider.Issuer(), Subject: "barred-upstream"}}})
	must(t, setStatus(w, barred.Subject, account.Disabled))
	answers := map[string]string{}
	for _, who := range []string{"stranger", "barred"} {
		p := newPhone(t, w, "phone")
		b, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: who, Password: providerPassword}})
		must(t, err)
		p.browser = b
		p.start("flow", "sign-on")
		id := p.view.Flow.ID
		r := forwards(p.signOn())(p)
		if !r.is(403, "access_denied") || r.view.Flow.Status != "failed" {
			t.Errorf("%s: %d %s", who, r.status, r.body)
		}
		answers[who] = strings.ReplaceAll(r.body, id, "ID")
		if r := p.show(); !r.is(410, "flow_finished") {
			t.Errorf("%s afterwards: %d %s", who, r.status, r.body)
		}
	}
	if answers["stranger"] != answers["barred"] {
		t.Errorf("%s%s", answers["stranger"], answers["barred"])
	}
}

func setStatus(w *world, subject string, s account.Status) error {
	return w.node.Base.Accounts.(interface {
		SetStatus(ctx context.Context, subject string, status account.Status) error
	}).SetStatus(w.ctx, subject, s)
}
