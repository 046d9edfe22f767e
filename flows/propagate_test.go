package flows_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

// turning are definitions whose target has these entries.
func turning(entries string) string {
	return strings.Replace(definitions(secretThenCode, "{}"),
		"propagate: { type: bearer_jwt, audience: \"https://t.example\", ttl: 5m }", "propagate:\n"+entries, 1)
}

const lastEntry = "      - { type: bearer_jwt, audience: \"https://t.example\", ttl: 1m }\n"

func entry(cond string) string {
	return "      - { if: '" + cond + "', type: bearer_jwt, audience: \"https://t.example\", ttl: 5m }\n"
}

// The first entry that fits counts; what cannot be answered fits nothing, and nothing behind it counts either.
func TestPropagators(t *testing.T) { // invariant 3
	t.Parallel()
	const broken = `account.attributes.nothing == "x"`
	for name, c := range map[string]struct {
		entries string
		ttl     time.Duration // of the token; 0: there is none
		audited bool
	}{
		"the first that fits":             {entry("acr >= level.aal2") + lastEntry, 5 * time.Minute, false},
		"the next, if the first does not": {entry("acr >= level.aal3") + lastEntry, time.Minute, false},
		"none":                            {entry("acr >= level.aal3"), 0, false},
		"an error":                        {entry(broken), 0, true},
		"an error before one that fits":   {entry(broken) + lastEntry, 0, true},
		"an error behind one that fits":   {entry("acr >= level.aal2") + entry(broken), 5 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, turning(c.entries))
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
			tk.ok("ok", "")
			err := tk.say("ok", "")
			if got := k.count(flows.EventConditionFailed) > 0; got != c.audited {
				t.Errorf("audited: %v", got)
			}
			if c.ttl == 0 {
				wants(t, err, flows.KindFailed, flows.CodeNotPropagated)
				if len(k.tokens.all()) != 0 || k.count(flows.EventRunCompleted) != 0 || k.count(flows.EventRunFailed) != 1 {
					t.Error("something was issued, or it was not recorded")
				}
				return
			}
			if got := k.tokens.all(); err != nil || len(got) != 1 || got[0].TTL != c.ttl {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// A client that acts for itself has shown nothing that a condition could ask.
func TestClientsHaveNoRunForConditions(t *testing.T) {
	t.Parallel()
	k := newKit(t, turning(entry("acr >= level.aal1")+lastEntry))
	app, err := k.engine.OwnClient(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.engine.ClientToken(t.Context(), flows.Caller{}, app, "t", nil); !errors.Is(err, flows.ErrPeople) || len(k.tokens.all()) != 0 {
		t.Errorf("a token without a run: %v", err)
	}
}

// A trade asks the list as it is then, of the run as it was: what a code was for has to be what it is for.
func TestTradesAskTheListAgain(t *testing.T) {
	t.Parallel()
	code := func(cond, redeemer string) string {
		return "      - { if: '" + cond + "', type: one_time_code, audience: \"https://t.example\", ttl: 5m, redeemer: " + redeemer + " }\n"
	}
	const redeemers = `  depot: { flows: [f], targets: [t], dpop: optional, redirect_uris: ["https://depot.example/back"], oauth: { auth: client_secret_basic, secret_hash: "0000000000000000000000000000000000000000000000000000000000000000" } }
  shed: { flows: [f], targets: [t], dpop: optional, redirect_uris: ["https://shed.example/back"], oauth: { auth: client_secret_basic, secret_hash: "0000000000000000000000000000000000000000000000000000000000000000" } }
`
	const always = "acr >= level.aal1"
	for name, c := range map[string]struct {
		then string
		good bool
	}{
		"as it was":             {code(always, "depot"), true},
		"as good as it was":     {code("acr >= level.aal2", "depot") + lastEntry, true},
		"another redeemer":      {code(always, "shed"), false},
		"an access token":       {lastEntry, false},
		"another entry by now":  {code("acr >= level.aal3", "depot") + lastEntry, false},
		"none fits":             {code("acr >= level.aal3", "depot"), false},
		"an entry that is past": {code(`now < timestamp("2026-03-01T12:00:00Z")`, "depot"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, turning(code(always, "depot"))+redeemers)
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", CodeChallenge: strings.Repeat("A", 43)})
			tk.ok("ok", "")
			tk.ok("ok", "")
			grant := tk.view.Result.Grant
			if grant == nil || grant.Type != "one_time_code" || len(k.tokens.all()) != 0 {
				t.Fatalf("%+v", grant)
			}
			if _, err := k.engine.Redeem(t.Context(), flows.Caller{}, flows.Redemption{
				Client: "depot", Grant: flows.Secret(grant.Token), Code: true,
				Once: func(string) (flows.Terms, error) { return flows.Terms{}, nil },
			}); !errors.Is(err, flows.ErrGrant) {
				t.Errorf("who has not proved to be the redeemer: %v", err)
			}
			then := k.another(turning(c.then) + redeemers)
			got, err := then.Redeem(t.Context(), flows.Caller{}, flows.Redemption{
				Client: "depot", Known: true, Grant: flows.Secret(grant.Token), Code: true,
				Once: func(string) (flows.Terms, error) { return flows.Terms{}, nil },
			})
			all := k.tokens.all()
			if (err == nil) != c.good || (len(all) == 1) != c.good || !c.good && !errors.Is(err, flows.ErrGrant) {
				t.Fatalf("%v, %+v", err, all)
			}
			if c.good && (got.Access.Token == "" || all[0].Client != "depot" || all[0].Subject != "sub-jane" || all[0].ACR != "aal2") {
				t.Errorf("%+v", all[0])
			}
		})
	}
}

// A token is the redeemer's: it lasts no longer than that client's may, nor than those of the app may
// whose run it came of.
func TestRedeemersTokensAreShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app, depot string
		want       time.Duration
	}{
		"of the redeemer":    {"", "ttl: 30s, ", 30 * time.Second},
		"of the app":         {"ttl: 40s, ", "", 40 * time.Second},
		"the redeemer's are": {"ttl: 40s, ", "ttl: 30s, ", 30 * time.Second},
		"the app's are":      {"ttl: 40s, ", "ttl: 50s, ", 40 * time.Second},
		"of neither":         {"", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, strings.Replace(turning(`      - { type: one_time_code, audience: "https://t.example", ttl: 5m, redeemer: depot }
`), "  app: { ", "  app: { "+c.app, 1)+`  depot: { `+c.depot+`targets: [t], dpop: optional, oauth: { auth: client_secret_basic, grants: [authorization_code], secret_hash: "0000000000000000000000000000000000000000000000000000000000000000" } }
`)
			tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane", CodeChallenge: strings.Repeat("A", 43)})
			tk.ok("ok", "")
			tk.ok("ok", "")
			_, err := k.engine.Redeem(t.Context(), flows.Caller{}, flows.Redemption{
				Client: "depot", Known: true, Grant: flows.Secret(tk.view.Result.Grant.Token), Code: true,
				Once: func(string) (flows.Terms, error) { return flows.Terms{}, nil },
			})
			if all := k.tokens.all(); err != nil || len(all) != 1 || all[0].Longest != c.want {
				t.Errorf("%v, %+v", err, all)
			}
		})
	}
}
