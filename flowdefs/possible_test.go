package flowdefs_test

import (
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
)

// Before the first proof a condition must not tell what an account has.
func TestPossibleDoesNotLookAtTheAccount(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]bool{
		`account.has("totp")`:                                    true,
		`!account.has("totp")`:                                   true,
		`account.attributes.branch == "Zurich"`:                  true,
		`account.attributes.missing == "x"`:                      true,
		`"teller" in account.roles`:                              true,
		`!("teller" in account.roles)`:                           true,
		`device.bound && account.has("pin")`:                     false,
		`!device.bound && account.has("pin")`:                    true,
		`device.bound || account.has("pin")`:                     true,
		`device.bound`:                                           false,
		`["a"].exists(x, account.has(x))`:                        true,
		`account.has("totp") && device.bound`:                    false,
		`(account.has("totp") ? "a" : "b") == "c"`:               true,
		`tags.exists(x, x == "none") && account.has("password")`: false,
	} {
		c := conditionOf(t, expr)
		for _, env := range []*flowdefs.Env{{}, {Account: flowdefs.AccountEnv{Types: []string{"totp", "pin"}, Attributes: map[string]string{"branch": "Zurich"}}}} {
			got, err := c.Possible(t.Context(), env)
			if err != nil || got != want {
				t.Errorf("%s: got %v, %v; want %v whatever the account", expr, got, err, want)
			}
			if certain, err := c.Certain(t.Context(), env); err != nil || certain {
				t.Errorf("%s: certain %v, %v", expr, certain, err)
			}
		}
	}
}

func conditionOf(t *testing.T, expr string) *flowdefs.Condition {
	t.Helper()
	text := "flows:\n  f:\n    steps:\n      - { id: s, type: password, if: '" + expr + "' }\n"
	set, err := flowdefs.Load(fstest.MapFS{"d/f.yaml": {Data: []byte(text)}}, "d", catalogue{})
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return set.Flows["f"].Steps[0].If
}
