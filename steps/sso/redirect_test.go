package sso_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/sso"
)

// cameBack is an answer that says where the browser came back to.
func cameBack(query, uri string) flows.Input {
	text, _ := json.Marshal(map[string]string{"queryString": query, "redirectUri": uri})
	return text
}

// Mix-up (RFC 9700 §4.4): where a provider has a redirect URI of its own, what came
// to another place was sent by another provider, and its code goes nowhere.
func TestRedirectOfAnotherProvider(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{ClientID: "parted"})
	const own = "com.bank.app:/corporate"
	if got := tk.asked(t); got.Redirect != own || got.Parameters["redirect_uri"] != own {
		t.Fatalf("asked to come back to %q", got.Redirect)
	}
	right := tk.visit(t)
	for _, uri := range []string{redirectURI, "", own + "/", strings.ToUpper(own), own + "?x=1"} {
		in := cameBack(right, uri)
		if uri == "" {
			in = body(right) // nobody says where it came to
		}
		wants(t, tk.submit(t, in), flows.KindRejected)
		if tk.view.Flow.Status != flows.InProgress {
			t.Fatal("the run is over")
		}
		if uri == own+"/" { // five wrong answers are too many
			break
		}
	}
	k.wantTokenCalls(t, 0)
	if err := tk.submit(t, cameBack(right, own)); err != nil {
		t.Errorf("at its own place: %v", err)
	}
}

// Who has one place for all providers may say it, and then it is compared too.
func TestRedirectThatIsSaid(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	wants(t, tk.submit(t, cameBack(right, "https://other.example/")), flows.KindRejected)
	k.wantTokenCalls(t, 0)
	if err := tk.submit(t, cameBack(right, redirectURI)); err != nil {
		t.Error(err)
	}
}

// An app on the same machine says the port that it listens at (RFC 8252 §7.3).
func TestRedirectToAPort(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	const here = "http://127.0.0.1:51004/cb"
	tk := k.start(t, flows.StartRequest{ClientID: "desk", RedirectURI: here})
	if got := tk.asked(t).Redirect; got != here {
		t.Fatalf("asked to come back to %q", got)
	}
	tk.completes(t)
	for _, uri := range []string{"http://127.0.0.1:51004/other", "http://127.0.0.1.evil.example:80/cb", "https://evil.example/", "com.bank.app:/corporate"} {
		_, err := k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "desk", Flow: "sign-on", RedirectURI: uri})
		wants(t, err, flows.KindMalformed)
	}
}

// In a browser that runs the flow each provider has an address of ours, which only its
// answers come to: what the client's apps have instead is of no concern there.
func TestRedirectOfABrowser(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	step, err := sso.Type(sso.Providers{"corporate": k.provider(t)}, k.people).New(config{})
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(redirectURI, "/corporate")
	v := flows.NewVisit(flows.Visit{
		StepID: "sso", Now: k.clock.Now(), Callback: base,
		Client: flowdefs.Client{ProviderRedirects: map[string]string{"corporate": "com.bank.app:/corporate"}},
	}, "owner", k.store)
	out, err := step.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out.Asked().Data)
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Redirect   string            `json:"redirectUri"`
		Parameters map[string]string `json:"parameters"`
	}
	if err := json.Unmarshal(text, &data); err != nil || data.Redirect != base+"/corporate" {
		t.Fatalf("%s: %v", text, err)
	}
	out, err = step.Answer(t.Context(), v, body("error=access_denied&state="+data.Parameters["state"]+"&iss="+url.QueryEscape(k.idp.Issuer())))
	if err != nil || out.Exited() != "denied" {
		t.Errorf("%+v, %v", out, err)
	}
}
