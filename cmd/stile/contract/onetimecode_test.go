package contract_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

const (
	stock       = "https://stock.example"
	depotSecret = "a secret of the depot that a generator has made, 256 bits"
	verifier    = "what-the-app-keeps-to-itself-until-it-hands-the-code-over"
)

// depot is definitions with a target whose own server trades the codes that apps hand over.
func depot(more string) string {
	return strings.Replace(shop(`  depot:
    flows: [sign-in]
    targets: [stock]
    dpop: optional
    oauth: { grants: [authorization_code, refresh_token], auth: client_secret_post, secret_hash: `+hashed(depotSecret)+` }
  thief:
    flows: [sign-in]
    targets: [stock]
    dpop: optional
    oauth: { grants: [authorization_code], auth: client_secret_post, secret_hash: `+hashed(depotSecret)+` }
    redirect_uris: ["https://thief.example/back"]
  app: { flows: [sign-in], targets: [stock], dpop: optional }
`+more), "targets:\n",
		"targets:\n  stock: { flow: sign-in, propagate: { type: one_time_code, audience: \""+stock+"\", ttl: 2m, redeemer: depot, claims: { branch: account.attributes.branch } } }\n", 1)
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return b64(sum[:])
}

// coded runs an app to a code for the depot.
func coded(t tb, w *world) *phone {
	t.Helper()
	p := newPhone(t, w, "app")
	p.key = nil
	p.start("target", "stock", "codeChallenge", challenge())
	p.finish()
	return p
}

// trades trades a code as somebody.
func (w *world) trades(t *testing.T, code, client, secret string, more ...string) (int, map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {client}, "client_secret": {secret}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(more); i += 2 {
		if form.Set(more[i], more[i+1]); more[i+1] == "" {
			form.Del(more[i])
		}
	}
	return w.direct(t, "/oauth2/token", form, false)
}

// The app gets a code and no token; the target's server alone trades it, once, for the token of that target.
func TestOneTimeCode(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: depot(""), store: store})
			defer w.close(t)
			p := coded(t, w)
			code := p.view.Result.Grant.Token
			if len(code) < 43+1 || strings.Count(code, ".") != 1 {
				t.Errorf("the code: %s", code)
			}
			status, out := w.trades(t, code, "depot", depotSecret)
			access, _ := out["access_token"].(string)
			claims := w.claimsOf(t, access)
			if status != http.StatusOK || out["refresh_token"] != nil || out["id_token"] != nil || out["token_type"] != "Bearer" ||
				claims["aud"] != stock || claims["client_id"] != "depot" || claims["branch"] != "Zurich" || claims["acr"] != "aal1" {
				t.Fatalf("%d %v: %v", status, out, claims)
			}
			if status, out = w.trades(t, code, "depot", depotSecret); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				t.Errorf("twice: %d %v", status, out)
			}
			issued, revoked := 0, 0
			for _, e := range w.events(t) {
				if e.Type == flows.EventTokenIssued && e.Client == "depot" && e.Target == "stock" {
					issued++
				}
				if e.Type == flows.EventGrantRevoked && e.Reason == "grant_reused" {
					revoked++
				}
			}
			if issued != 1 || revoked != 1 {
				t.Errorf("issued %d, revoked %d", issued, revoked)
			}
		})
	}
}

// Who is not the redeemer, or has not what belongs to the code, gets nothing and ends nothing.
func TestOneTimeCodesOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: depot("")})
	defer w.close(t)
	code := coded(t, w).view.Result.Grant.Token
	for name, c := range map[string]struct {
		client, secret string
		more           []string
		status         int
	}{
		"RFC 6749 4.1.3: another client than the redeemer of a one-time code": {"thief", depotSecret, nil, 400},
		"RFC 6749 4.1.3: a client that proves nothing, with a one-time code":  {"other", "", []string{"client_secret", ""}, 400},
		"without its secret": {"depot", "guessed", nil, 401},
		"RFC 7636 4.6: another verifier of a one-time code": {"depot", depotSecret, []string{"code_verifier", strings.Repeat("x", 43)}, 400},
		"RFC 7636 4.6: no verifier of a one-time code":      {"depot", depotSecret, []string{"code_verifier", ""}, 400},
		"the challenge": {"depot", depotSecret, []string{"code_verifier", challenge()}, 400},
		"RFC 6749 4.1.3: a redirect URI that a one-time code was not sent to": {"depot", depotSecret, []string{"redirect_uri", "https://depot.example/back"}, 400},
		"RFC 6749 6: a one-time code as refresh token":                        {"depot", depotSecret, []string{"grant_type", "refresh_token", "refresh_token", code}, 400},
		"with a letter too few":                                               {"depot", depotSecret, []string{"code", code[:len(code)-1]}, 400},
		"the app itself":                                                      {"app", "", []string{"client_secret", ""}, 401},
	} {
		if status, out := w.trades(t, code, c.client, c.secret, c.more...); status != c.status || out["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, out := w.trades(t, code, "depot", depotSecret); status != http.StatusOK {
		t.Errorf("the redeemer: %d %v", status, out)
	}
}

// A code lives a minute, and no longer than what it rests on.
func TestOneTimeCodesEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, p *phone){
		"time": func(w *world, _ *phone) { w.clock.pass(time.Minute) },
		"the session": func(_ *world, p *phone) {
			p.handle = ""
			p.send(http.MethodDelete, "/v1/session", "", header("Authorization", "Session "+p.view.Result.Session))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: depot("")})
			defer w.close(t)
			p := coded(t, w)
			end(w, p)
			if status, out := w.trades(t, p.view.Result.Grant.Token, "depot", depotSecret); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, out)
			}
		})
	}
}

// Without the challenge a code that was read on its way could be handed over by anybody.
func TestOneTimeCodesNeedAChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: depot("")})
	defer w.close(t)
	p := newPhone(t, w, "app")
	p.key = nil
	for _, c := range []string{"", "short", challenge() + "A", challenge()[:42] + "!"} {
		if r := p.post("/v1/flows", map[string]any{"clientId": "app", "target": "stock", "codeChallenge": c}); !r.is(400, "invalid_request") {
			t.Errorf("%q: %d %s", c, r.status, r.body)
		}
	}
	r, _ := w.direct(t, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "resource": {stock}}, true)
	if r == http.StatusOK {
		t.Error("a client has the token for itself")
	}
}
