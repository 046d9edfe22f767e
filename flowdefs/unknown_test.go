package flowdefs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// asked notes what it is asked, and has the account that it is told to have.
type asked struct {
	has    []string
	holds  bool
	err    error
	text   string
	asked  []string
	second string
}

func (a *asked) Has(typ string) bool { return slices.Contains(a.has, typ) }

func (a *asked) Holds(c *flowdefs.Condition, _ *flowdefs.Env, known string) (bool, error) {
	a.asked, a.second = append(a.asked, c.Source), known
	return a.holds, a.err
}

func (a *asked) Text(c *flowdefs.Condition, _ *flowdefs.Env, known string) (string, error) {
	a.asked, a.second = append(a.asked, c.Source), known
	return a.text, a.err
}

// What is known decides; only what is not known is asked for.
func TestUnknowns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source string
		asks         bool
		want         bool
	}{
		{"what is proved is known", `acr >= level.aal2`, false, true},
		{"an authenticator is settled by itself", `account.has("totp") && !account.has("pin")`, false, true},
		{"an attribute", `account.attributes.branch == "Zurich"`, true, true},
		{"a role", `"teller" in account.roles`, true, true},
		{"whether there is one", `has(account.attributes.branch)`, true, true},
		{"false, whatever the attribute", `account.attributes.branch == "Zurich" && acr < level.aal2`, false, false},
		{"true, whatever the attribute", `acr >= level.aal2 || account.attributes.branch == "Zurich"`, false, true},
		{"the time of day", `now.getHours() < 6`, true, true},
		{"the day that a run began", `run.started.getHours() < 6`, true, true},
		{"no proof has a time", `evidence.all(e, e.at >= run.started)`, false, true},
		{"when something was proved", `proved.exists(e, e.at > run.started)`, true, true},
		{"which authenticator it was", `proved.exists(e, e.authenticator == "a" || e.device == "b")`, true, true},
		{"whether it ends", `proved.exists(e, has(e.expires))`, true, true},
		{"when, and it does not matter", `proved.exists(e, e.at > run.started && e.restricted)`, false, false},
		{"who the client is", `has(client.id)`, true, true},
		{"a value that was assigned", `assigned.known == "x"`, false, true},
		{"a value that depended on something unknown", `assigned.dark == "x"`, true, true},
		{"that it was assigned is known", `"dark" in assigned`, false, true},
		{"a list of attributes", `account.attributes.exists(k, k == "x")`, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var proved []assurance.Evidence
			if source, ok := strings.CutPrefix(tt.source, "proved"); ok {
				tt.source, proved = "evidence"+source, []assurance.Evidence{{Authenticator: "a", At: time.Unix(1, 0)}}
			}
			c := requireOf(t, tt.source)
			u := &asked{has: []string{"totp"}, holds: true}
			env := &flowdefs.Env{Evidence: proved, ACR: assurance.AAL2, Assigned: map[string]string{"known": "x", "dark": flowdefs.UnknownValue}, Unknown: u}
			got, err := c.Bool(t.Context(), env)
			if err != nil || got != tt.want || len(u.asked) > 0 != tt.asks {
				t.Errorf("%v, %v, asked %q", got, err, u.asked)
			}
			u.holds, u.err = false, flowdefs.ErrCondition
			if _, err := c.Bool(t.Context(), env); tt.asks != errors.Is(err, flowdefs.ErrCondition) {
				t.Errorf("an error of what is settled: %v", err)
			}
		})
	}
}

// What a decision can come to is known if it only picks.
func TestEnds(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		`"x"`: {"x"},
		`device.bound ? "x" : target == "t" ? "y" : "z"`: {"x", "y", "z"},
		`target + "x"`:                nil,
		`device.bound ? "x" : target`: nil,
	} {
		set := mustLoad(t, "flows: {f: {steps: [{id: a, type: totp}, {assign: {v: '"+source+"'}}]}}")
		if diff := cmp.Diff(want, set.Flows["f"].Steps[1].Values[0].Value.Ends()); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
}

// Before the first proof what depends on the account alone is not even asked for.
func TestUnknownsBeforeTheFirstProof(t *testing.T) {
	t.Parallel()
	for source, asks := range map[string]bool{
		`account.has("totp")`:                          false,
		`account.attributes.x == "y"`:                  false,
		`now.getHours() < 6`:                           true,
		`now.getHours() < 6 && account.has("totp")`:    true,
		`account.has("totp") && acr >= level.aal3`:     false,
		`account.has("totp") || now.getHours() < 6`:    true,
		`account.attributes.x == "y" && device.bound`:  false,
		`!(account.attributes.x == "y" || acr == acr)`: false,
	} {
		u := &asked{holds: true}
		if _, err := requireOf(t, source).Possible(t.Context(), &flowdefs.Env{Unknown: u}); err != nil || len(u.asked) > 0 != asks {
			t.Errorf("%s: asked %q, %v", source, u.asked, err)
		}
	}
}

// The same condition on the same facts is asked for under the same name.
func TestUnknownsKnowWhatIsRead(t *testing.T) {
	t.Parallel()
	c := requireOf(t, `acr >= level.aal2 && account.attributes.x == "y" || "t" in tags && now.getHours() == 1`)
	name := func(env flowdefs.Env) string {
		u := &asked{}
		env.Unknown = u
		if _, err := c.Bool(t.Context(), &env); err != nil {
			t.Fatal(err)
		}
		return u.second
	}
	a := name(flowdefs.Env{ACR: assurance.AAL2})
	if b := name(flowdefs.Env{ACR: assurance.AAL2, Target: "payments"}); a != b || a == "" {
		t.Errorf("%q, %q", a, b)
	}
	if b := name(flowdefs.Env{ACR: assurance.AAL3}); a == b {
		t.Errorf("%q for both", a)
	}
	if diff := cmp.Diff([]string{"y", "t"}, c.Words()); diff != "" || !c.Reads("tags") || c.Reads("target") || !c.ReadsField("attributes") {
		t.Errorf("%s%v", diff, c)
	}
}

func requireOf(t *testing.T, source string) *flowdefs.Condition {
	t.Helper()
	set := mustLoad(t, "flows: {f: {steps: [{id: a, type: totp}, {require: '"+source+"'}]}}")
	return set.Flows["f"].Steps[1].Require
}
