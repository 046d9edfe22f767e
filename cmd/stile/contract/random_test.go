package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// failures are the codes of 403 that docs/api.md promises.
func failures() []string {
	return []string{
		"flow_not_allowed", "unsupported_client_capabilities", "access_denied", "requirement_not_met",
		"unmet_authentication_requirements", "attempts_exhausted", "authenticator_locked", "insufficient_authentication",
		"no_option_left", "device_required", "subject_changed", "unhandled_exit",
	}
}

// The demo's app knows the REST contract and nothing else. It completes random
// flows of the real step types where they can be completed, and is told why
// where they cannot; the token says what a reading of the wire says.
func TestAppCompletesFlowsItHasNeverSeen(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			provider := startProvider(t, c)
			rapid.Check(t, func(rt *rapid.T) { playRandom(t, rt, c, provider, store) })
		})
	}
}

// trial is one random flow with one random Jane.
type trial struct {
	t       *rapid.T
	w       *world
	items   []*item
	model   reading
	needs   int // level that the target requires
	passed  []string
	current *step
	answers []string // every body that came back
}

func playRandom(outer *testing.T, rt *rapid.T, c *clock, provider *oidctest.Provider, store string) {
	x := &trial{t: rt, items: (&generator{t: rt}).flow()}
	x.needs = rapid.IntRange(0, 2).Draw(rt, "required level")
	x.model = reading{
		binding: rapid.IntRange(1, 2).Draw(rt, "binding"), sso: rapid.IntRange(1, 2).Draw(rt, "cap"),
		pick: rapid.IntRange(0, 5).Draw(rt, "pick"), has: []string{"password"},
	}
	person := &users.Person{Binding: assurance.Level(x.model.binding)}
	if rapid.IntRange(0, 4).Draw(rt, "totp") > 0 {
		person.TOTP, x.model.has = true, append(x.model.has, "totp")
	}
	if rapid.IntRange(0, 4).Draw(rt, "pin") > 0 {
		person.PIN, x.model.has = pin, append(x.model.has, "pin")
	}
	requires := "max_age: 30m"
	if x.needs > 0 {
		requires += ", acr: " + assurance.Level(x.needs).String()
	}
	text := definitions(x.items, requires, assurance.Level(x.model.sso).String())
	rt.Logf("%s", text)
	x.w = newWorld(outer, rt, setup{definitions: text, store: store, person: person, clock: c, provider: provider})
	defer x.w.close(rt)
	x.play()
}

func (x *trial) play() {
	phone := x.app(rapid.Bool().Draw(x.t, "hostile headers"))
	if rapid.Bool().Draw(x.t, "bound") {
		_, err := phone.Run(x.w.ctx, app.StartOptions{Flow: "prepare"})
		must(x.t, err)
		x.model.bound, x.model.device = true, levelOf(x.local("password", "totp"))
		x.model.devices = []int{x.model.device}
		x.w.clock.pass(time.Minute)
	}
	x.passed = nil
	first := x.items[0]
	named := first.kind != "step" || first.typ != "sso" && first.typ != "password" || rapid.Bool().Draw(x.t, "hint")
	opts := app.StartOptions{Target: "app"}
	if named {
		opts.LoginHint = login
	}
	before := x.model
	result, err := phone.Run(x.w.ctx, opts)
	if first.kind == "step" && first.condition < 0 {
		x.exact(err)
	}
	x.plausible(err)
	if err == nil {
		x.checkToken(before, result)
	}
	for _, body := range x.answers {
		if strings.Contains(body, evil) {
			x.t.Errorf("a header of a request came back: %s", body)
		}
	}
}

// local are proofs by those of Jane's authenticators that she has.
func (x *trial) local(types ...string) []proof {
	var out []proof
	for _, typ := range types {
		if slices.Contains(x.model.has, typ) {
			out = append(out, proof{typ, x.model.binding})
		}
	}
	return out
}

func (x *trial) app(hostile bool) *app.App {
	device, err := app.NewDevice(app.DeviceConfig{Now: x.w.clock.now, Biometrics: func() bool { return true }})
	must(x.t, err)
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: providerUser, Password: providerPassword}})
	must(x.t, err)
	wire := &app.Wire{Who: "app", Trace: x.see}
	if hostile {
		wire.Next = roundTrip(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			disguise(r)
			return http.DefaultTransport.RoundTrip(r)
		})
	}
	a, err := app.New(app.Config{
		StileURL: x.w.node.URL(), ClientID: "phone", RedirectURI: redirectURI, Device: device, Browser: browser, Now: x.w.clock.now,
		HTTPClient: &http.Client{Transport: wire},
		User: app.User{
			Username: login, Password: password, PIN: pin,
			TOTP: func(time.Time) (string, error) { return x.w.code() },
		},
		Choose: func(options []app.Option) string { return options[x.model.pick%len(options)].ID },
		Wait:   func(_ context.Context, d time.Duration) error { x.w.clock.pass(d); return nil },
	})
	must(x.t, err)
	return a
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// see reads the wire: a prompt whose answer was accepted has passed.
func (x *trial) see(e app.Exchange) {
	x.answers = append(x.answers, string(e.ResponseBody))
	var v view
	if json.Unmarshal(e.ResponseBody, &v) != nil || e.Method != http.MethodPost {
		return
	}
	if e.Status == http.StatusOK && x.current != nil && strings.HasSuffix(e.URL, x.current.href("submit")) && x.current.href("submit") != "" {
		x.passed = append(x.passed, x.current.Type)
	}
	x.current = v.NextStep
}

// exact: the reading of the flow tells how the run ends. It knows flows that
// begin with a proof; before it, what depends on the account is kept from everybody.
func (x *trial) exact(err error) {
	ok := x.model.run(x.items)
	if ok && x.model.level() < max(x.needs, 1) {
		x.model.failure = "unmet_authentication_requirements"
	}
	got := ""
	var p *app.ProblemError
	if errors.As(err, &p) {
		got = p.Code
	} else if err != nil {
		got = err.Error()
	}
	if x.model.failure == enrolledHere && p != nil && p.Status == http.StatusForbidden {
		return
	}
	const unmet = "unmet_authentication_requirements"
	switch {
	case got == unmet && x.model.failure != "": // it was out of reach, and was said so before the reader came to the end
		return
	case got == "" && x.needs > 1: // the reader took an option that was not even offered; what passed is compared with the token
		return
	}
	if got != x.model.failure {
		x.t.Errorf("the run ended with %q, a reader of the flow expects %q (%v)", got, x.model.failure, err)
	}
}

// plausible: a run that does not complete ends with a documented code, or with
// a wrong answer where Jane lacks what is asked of her.
func (x *trial) plausible(err error) {
	var p *app.ProblemError
	switch {
	case err == nil:
	case !errors.As(err, &p):
		x.t.Errorf("%v", err)
	case p.Status == http.StatusForbidden && slices.Contains(failures(), p.Code):
	case p.Status == http.StatusForbidden && x.model.failure == enrolledHere && slices.Contains(x.passed, "DEVICE_ENROLMENT_REQUIRED"):
	case p.Status == http.StatusUnprocessableEntity && p.Code == "wrong_answer" && len(x.model.has) < 3:
	default:
		x.t.Errorf("%v", err)
	}
}

// checkToken compares the token with what was seen to pass.
func (x *trial) checkToken(before reading, result app.Result) {
	var proofs []proof
	for _, typ := range x.passed {
		switch typ {
		case "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED":
			proofs = append(proofs, proof{"sso", before.sso})
		case "PASSWORD_REQUIRED":
			proofs = append(proofs, proof{"password", before.binding})
		case "PIN_REQUIRED":
			proofs = append(proofs, proof{"pin", before.binding})
		case "OTP_REQUIRED":
			proofs = append(proofs, proof{"totp", before.binding})
		case "BIOMETRIC_ATTESTATION_REQUIRED":
			proofs = append(proofs, proof{"device_biometric", before.device})
		}
	}
	claims := x.w.claimsOf(x.t, result.Token)
	var amr []string
	list, _ := claims["amr"].([]any)
	for _, v := range list {
		amr = append(amr, v.(string))
	}
	if diff := cmp.Diff(amrOf(proofs), amr); diff != "" {
		x.t.Errorf("amr after %v: %s", x.passed, diff)
	}
	if want := assurance.Level(levelOf(proofs)).String(); claims["acr"] != want || result.ACR != want {
		x.t.Errorf("acr %v (%s) after %v, want %s", claims["acr"], result.ACR, x.passed, want)
	}
	if levelOf(proofs) < max(x.needs, 1) {
		x.t.Errorf("a token for %d where %d is required", levelOf(proofs), x.needs)
	}
	if claims["sub"] != x.w.added.Subject || claims["branch"] != "Zurich" || claims["client_id"] != "phone" {
		x.t.Errorf("claims %v", claims)
	}
	if aud, err := claims.GetAudience(); err != nil || len(aud) != 1 || aud[0] != "https://app.bank.example" {
		x.t.Errorf("aud %v", aud)
	}
}

const evil = "evil-proxy.example"

// disguise adds headers that would change where a careless server believes to be.
func disguise(r *http.Request) {
	r.Host = evil
	for name, value := range map[string]string{
		"X-Forwarded-Host": evil, "X-Forwarded-Proto": "https", "X-Forwarded-Port": "4711", "X-Forwarded-For": "198.51.100.7",
		"X-Forwarded-Prefix": "/" + evil, "X-Forwarded-Server": evil, "X-Original-URL": "https://" + evil + "/", "X-Rewrite-URL": "/" + evil,
		"X-Original-Host": evil, "X-Host": evil, "Forwarded": "for=198.51.100.7;host=" + evil + ";proto=https",
		"Origin": "https://" + evil, "Referer": "https://" + evil + "/", "X-Real-IP": "198.51.100.7", "X-HTTP-Method-Override": "DELETE",
		"X-Request-Id": evil, "Via": "1.1 " + evil, "Prefer": evil, "Accept-Language": "xx",
	} {
		r.Header.Set(name, value)
	}
}
