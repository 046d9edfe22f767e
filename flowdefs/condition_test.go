package flowdefs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// guard loads a flow whose only condition is a require.
func guard(t *testing.T, expression string) *flowdefs.Condition {
	t.Helper()
	set := mustLoad(t, "flows: {f: {steps: [{id: a, type: totp}, {require: "+strconv.Quote(expression)+"}]}}")
	return set.Flows["f"].Steps[1].Require
}

// claim loads a target with one claim.
func claim(t *testing.T, expression string) *flowdefs.Condition {
	t.Helper()
	return mustLoad(t, claimFile(expression)).Targets["t"].Propagate[0].Claims["c"]
}

func claimFile(expression string) string {
	return "flows: {f: {steps: [{id: a, type: totp}]}}\n" +
		"targets: {t: {flow: f, propagate: {type: bearer_jwt, audience: a, claims: {c: " + strconv.Quote(expression) + "}}}}"
}

func someone() *flowdefs.Env {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &flowdefs.Env{
		Account: flowdefs.AccountEnv{Attributes: map[string]string{"branch": "Zurich", "roles": "teller, branch manager ,"}, Types: []string{"totp", "pin"}},
		Device:  flowdefs.DeviceEnv{Bound: true},
		Client:  flowdefs.ClientEnv{ID: "backend"},
		Evidence: []assurance.Evidence{
			{
				Step: "sso", StepType: "sso", Method: assurance.Federated, At: noon.Add(-time.Minute),
				Categories: []assurance.Category{assurance.Knowledge}, ReplayResistant: true, Cap: assurance.AAL2,
			},
			{
				Step: "code", StepType: "totp", Method: assurance.TOTP, At: noon, Authenticator: "a1",
				Categories: []assurance.Category{assurance.Possession}, Binding: assurance.AAL2, Cap: assurance.AAL3,
			},
		},
		ACR: assurance.AAL2, Tags: []string{"remembered"}, Target: "payments",
		Run: flowdefs.RunEnv{Flow: "mobile-banking", Started: noon.Add(-2 * time.Minute)},
		Now: noon,
	}
}

func TestConditionsThatHold(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		`true`,
		`account.has("totp") && !account.has("passkey")`,
		`account.attributes.branch == "Zurich"`,
		`account.attributes["branch"].startsWith("Zu")`,
		`has(account.attributes.branch) && !has(account.attributes.floor)`,
		`"branch manager" in account.roles && size(account.roles) == 2 && !("tell" in account.roles)`,
		`device.bound`,
		`client.id == "backend" && has(client.id)`,
		`acr >= level.aal2 && acr > level.aal1 && acr <= level.aal2 && acr < level.aal3`,
		`acr == level.aal2 && acr != level.aal3 && acr in [level.aal2, level.aal3]`,
		`evidence.exists(e, e.method == "totp" && e.step == "code" && e.type == "totp")`,
		`evidence.all(e, e.at <= now && now - e.at < duration("5m"))`,
		`evidence.exists_one(e, e.replay_resistant)`,
		`evidence.filter(e, "possession" in e.categories).map(e, e.authenticator) == ["a1"]`,
		`evidence[1].binding >= level.aal2 && evidence[1].cap == level.aal3`,
		`!has(evidence[0].expires) && !has(evidence[0].device) && has(evidence[0].at)`,
		`evidence.size() == 2 && size(tags) == 1`,
		`"remembered" in tags`,
		`target == "payments" && run.flow == "mobile-banking"`,
		`now - run.started == duration("2m")`,
		`now.getHours() == 12`,
		`"a" + "b" == "ab" && 1 + 1 == 2 && "abc".matches("^a.c$")`,
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			got, err := guard(t, expression).Bool(t.Context(), someone())
			if err != nil || !got {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// What is not known is an error, never false: the caller decides by the place.
func TestUnknownIsAnError(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		`account.attributes.branch != "Zurich"`,
		`!(account.attributes["branch"] == "x")`,
		`client.id != "evil"`,
		`evidence[0].method != "totp"`,
		`evidence[0].device != "d"`,
		`int(target) == 1`,
		`timestamp(target) < now`,
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			_, err := guard(t, expression).Bool(t.Context(), &flowdefs.Env{Target: "x"})
			if !errors.Is(err, flowdefs.ErrCondition) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAbsentFieldOfEvidenceIsAnError(t *testing.T) {
	t.Parallel()
	_, err := guard(t, `evidence[0].device != "stolen"`).Bool(t.Context(), someone())
	if !errors.Is(err, flowdefs.ErrCondition) {
		t.Errorf("got %v", err)
	}
}

// The zero Env is an unknown account on an unbound device with nothing proved.
func TestNobody(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		`account.has("totp")`, `device.bound`, `acr >= level.aal1`, `evidence.exists(e, true)`, `"x" in tags`, `target != ""`,
	} {
		got, err := guard(t, expression).Bool(t.Context(), &flowdefs.Env{})
		if err != nil || got {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	env := someone()
	env.Tags = make([]string, 3000)
	_, err := guard(t, `tags.all(a, tags.all(b, a == b))`).Bool(t.Context(), env)
	if !errors.Is(err, flowdefs.ErrCondition) || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledIsAnError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := guard(t, `true`).Bool(ctx, someone())
	if !errors.Is(err, flowdefs.ErrCondition) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNothingToEvaluateIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*flowdefs.Condition{"nil": nil, "zero": {}} {
		if _, err := c.Bool(t.Context(), someone()); !errors.Is(err, flowdefs.ErrCondition) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := guard(t, `true`).Bool(t.Context(), nil); !errors.Is(err, flowdefs.ErrCondition) {
		t.Errorf("nil environment: %v", err)
	}
}

// A claim's expression has any type; asked for a bool it is an error, not false.
func TestBoolOfAnotherType(t *testing.T) {
	t.Parallel()
	if _, err := claim(t, `target`).Bool(t.Context(), someone()); !errors.Is(err, flowdefs.ErrCondition) {
		t.Errorf("got %v", err)
	}
}

func TestRequestDecidesWhetherAnOptionIsOffered(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, `flows: {f: {steps: [{id: c, choose: [{id: a, type: totp, if: 'request.locale == "de"'}, {id: b, type: pin}]}]}}`)
	c := set.Flows["f"].Steps[0].Options[0].If
	if got, err := c.Bool(t.Context(), &flowdefs.Env{Request: map[string]string{"locale": "de"}}); err != nil || !got {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.Bool(t.Context(), &flowdefs.Env{}); !errors.Is(err, flowdefs.ErrCondition) {
		t.Errorf("absent: %v", err)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`account.attributes.branch`:           `"Zurich"`,
		`account.attributes`:                  `{"branch":"Zurich","roles":"teller, branch manager ,"}`,
		`account.roles`:                       `["teller","branch manager"]`,
		`words(" a  b ")`:                     `["a","b"]`,
		`1 + 2`:                               `3`,
		`7u`:                                  `7`,
		`1.5`:                                 `1.5`,
		`device.bound`:                        `true`,
		`acr`:                                 `"aal2"`,
		`run.started`:                         `"2026-03-01T11:58:00Z"`,
		`tags`:                                `["remembered"]`,
		`evidence.map(e, e.method)`:           `["federated","totp"]`,
		`{"levels": evidence.map(e, e.cap)}`:  `{"levels":["aal2","aal3"]}`,
		`account.has("pin") ? "pin" : "none"`: `"pin"`,
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			got, err := claim(t, expression).Value(t.Context(), someone())
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValueFails(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{`account.attributes.floor`, `0.0 / 0.0`, `[1.0 / 0.0]`, `1 / (size(tags) - 1)`, `client.id`} {
		env := someone()
		env.Client.ID = ""
		if got, err := claim(t, expression).Value(t.Context(), env); !errors.Is(err, flowdefs.ErrCondition) {
			t.Errorf("%s: %v, %v", expression, got, err)
		}
	}
}

func BenchmarkBool(b *testing.B) {
	set, err := load(`flows: {f: {steps: [{require: 'acr >= level.aal2 && account.has("totp") && device.bound'}]}}`)
	if err != nil {
		b.Fatal(err)
	}
	c, env := set.Flows["f"].Steps[0].Require, someone()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Bool(b.Context(), env); err != nil {
			b.Fatal(err)
		}
	}
}
