package flowdefs_test

import (
	"testing"
)

// What hangs on more of evidence and tags than what each entry is, is not
// steady: a proof takes states for one that it tells apart.
func TestSteady(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`account.accepted("tos-2026")`:                                                 false, // a step of the run may change it
		`acr >= level.aal2`:                                                            true,
		`"x" in tags && !("y" in tags)`:                                                true,
		`evidence.exists(e, e.type == "totp")`:                                         true,
		`evidence.all(e, e.binding >= level.aal2)`:                                     true,
		`!evidence.exists(e, "knowledge" in e.categories)`:                             true,
		`evidence.exists(e, evidence.exists(f, e.type != f.type && e.step != f.step))`: true,
		`evidence.exists(tags, tags.type == "totp")`:                                   true,
		`account.has("totp") && account.attributes.a != "b"`:                           true,
		`["a", "b"].exists(t, t == target)`:                                            true,
		`["totp", "pin"].exists(t, evidence.exists(e, e.type == t))`:                   true,
		`size(reached) > 1`:                                                            true,
		`now.getHours() < 6`:                                                           true,

		`size(evidence) < 3`:                      false,
		`evidence.size() < 3`:                     false,
		`evidence[0].type == "totp"`:              false,
		`evidence.exists_one(e, e.user_verified)`: false,
		`evidence.filter(e, e.type == "totp") != evidence.filter(e, e.type == "pin")`: false,
		`evidence.map(e, e.type) == ["totp"]`:                                         false,
		`"totp" in evidence.map(e, e.type)`:                                           false,
		`evidence.exists(e, e == evidence[0])`:                                        false,
		`evidence.exists(e, evidence.exists(f, e == f))`:                              false,
		`evidence.exists(e, size(evidence) > 1 && e.user_verified)`:                   false,
		`size(tags) == 0`:                             false,
		`tags == ["a"]`:                               false,
		`tags.exists(t, t.startsWith("a"))`:           false,
		`tags.all(t, t == "a")`:                       false,
		`("a" + "b") in tags`:                         false,
		`assigned.a in tags`:                          false,
		`["a"].exists(t, t in tags)`:                  false,
		`tags[0] == "a"`:                              false,
		`size(.tags) == 0`:                            false,
		`(acr >= level.aal2 ? tags : ["a"]) == ["a"]`: false,
		`account.has(account.attributes.a)`:           false,
	} {
		if got := guard(t, source).Steady(); got != want {
			t.Errorf("%s: steady %t", source, got)
		}
	}
}
