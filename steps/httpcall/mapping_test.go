package httpcall_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/httpcall"
)

const mapping = `outcomes: [refused, review], outcome: 'response.score > 80 ? "review" : "ok"',
	assign: { permissions: response.permissions, branch: response.user.branch }, `

// What a service answers is mapped by expressions.
func TestAnswerIsMapped(t *testing.T) {
	t.Parallel()
	ask := func(with, answer string) (flows.Outcome, error) {
		s, err := load(t, httpcall.Config{}, with+service(t, answering(answer)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Enter(t.Context(), flows.NewVisit(run, "owner", nil))
	}
	out, err := ask(mapping, `{"score": 12, "permissions": ["ledger:read", "ledger:post"], "user": {"branch": "Zürich"}, "more": [1, null]}`)
	want := map[string]string{"permissions": "ledger:read ledger:post", "branch": "Zürich"}
	if err != nil || !out.IsDone() || !maps.Equal(out.Assigned(), want) {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = ask(mapping, `{"score": 81.5, "permissions": [], "user": {"branch": ""}}`)
	if err != nil || out.Exited() != "review" || out.Assigned() != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = ask(`assign: { tier: response.tier }, `, `{"tier": "gold"}`)
	if err != nil || out.Assigned()["tier"] != "gold" {
		t.Fatalf("without an outcome: %+v, %v", out, err)
	}
	out, err = ask(`outcomes: [refused], assign: { tier: response.tier }, `, `{"outcome": "refused"}`)
	if err != nil || out.Exited() != "refused" {
		t.Fatalf("with an outcome: %+v, %v", out, err)
	}
}

// An answer that cannot be read is no answer: nothing of it counts.
func TestAnswerThatIsNotMapped(t *testing.T) {
	t.Parallel()
	const good = `"score": 12, "user": {"branch": "x"}`
	for name, answer := range map[string]string{
		"a member is missing":        `{` + good + `}`,
		"a member of another type":   `{` + good + `, "permissions": 7}`,
		"null":                       `{` + good + `, "permissions": null}`,
		"a list of numbers":          `{` + good + `, "permissions": [1]}`,
		"a word with a space":        `{` + good + `, "permissions": ["ledger:read ledger:post"]}`,
		"a word that is empty":       `{` + good + `, "permissions": ["a", ""]}`,
		"a control character":        `{` + good + `, "permissions": "a\u0000b"}`,
		"too long":                   `{` + good + `, "permissions": "` + strings.Repeat("a", 4097) + `"}`,
		"a score that is none":       `{"score": "low", "permissions": [], "user": {"branch": "x"}}`,
		"a member twice":             `{` + good + `, "permissions": [], "permissions": ["admin"]}`,
		"an outcome that is no word": `{"outcome": 7, ` + good + `, "permissions": []}`,
	} {
		with := mapping
		if name == "an outcome that is no word" {
			with = `assign: { permissions: response.permissions }, `
		}
		s, err := load(t, httpcall.Config{}, with+service(t, answering(answer)))
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, name, s)
	}
}

// What is wrong with an expression is said where it stands.
func TestMappingThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`assign: { tier: response.tier + }`:         "ends too early",
		`assign: { tier: "1 + 1" }`:                 "expected a string or a list of strings",
		`assign: { tier: account.attributes.tier }`: `unknown name "account"`,
		`assign: { Tier: response.tier }`:           "is not made of a-z",
		`assign: [response.tier]`:                   "expected a mapping",
		`assign: { tier: "" }`:                      "the expression is empty",
		`outcome: 7`:                                "expected an expression",
	} {
		_, err := load(t, httpcall.Config{}, `url: "https://risk.bank.example", `+source)
		var problems flowdefs.Problems
		if !errors.As(err, &problems) || !strings.Contains(problems[0].Message, want) || problems[0].Pos.Column < 30 {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// Where the service may refuse, an answer without its word is no ok: what is absent
// is a failed check.
func TestAnswerWithoutItsWord(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"tier": "gold"}`, `{"tier": "gold", "outcome": null}`, `{"tier": "gold", "decision": "refused"}`, `{"tier": "gold", "Outcome": "refused"}`,
	} {
		s, err := load(t, httpcall.Config{}, `outcomes: [refused], assign: { tier: response.tier }, `+service(t, answering(answer)))
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Enter(t.Context(), flows.NewVisit(run, "owner", nil))
		if err == nil {
			t.Errorf("%s: done %t", answer, out.IsDone())
		}
	}
}
