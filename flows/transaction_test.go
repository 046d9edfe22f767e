package flows_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
)

func payments() string {
	text := definitions("      - { id: pw, type: secret }\n      - { id: sign, type: approve }\n", "{ acr: aal1 }")
	return strings.Replace(text, "  f:\n", "  f:\n    kind: transaction\n", 1)
}

func payment() map[string]string { return map[string]string{"amount": "12.50", "payee": "Ann"} }

// The identity that is propagated says what was signed, and nothing that was not.
func TestApprovalIsPropagated(t *testing.T) {
	t.Parallel()
	k := newKit(t, payments())
	tk := k.must(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: payment()})
	tk.ok("ok", "")
	tk.ok("ok", "")
	want := []flows.Approval{{
		Step: "sign", Message: "pay", Locale: "en", Text: "Pay 12.50", Arguments: payment(),
		Hash: "Tj1gQ7NflZplboXu4fBqbK9EoQLw9pFjbs6jBuNGusI",
	}}
	all := k.tokens.all()
	if len(all) != 1 {
		t.Fatalf("%d tokens", len(all))
	}
	if diff := cmp.Diff(want, all[0].Approved); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
}

// A step cannot approve what the client has not asked for, say that something was
// approved which it has not shown, or pass without saying what was.
func TestApprovalIsTheRunsTransaction(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"other", "nothing"} {
		k := newKit(t, payments())
		tk := k.must(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: payment()})
		tk.ok("ok", "")
		wants(t, tk.say(how, ""), flows.KindInternal, flows.CodeInternal)
		if len(k.tokens.all()) > 0 {
			t.Errorf("%s: a token", how)
		}
	}
	k := newKit(t, definitions("      - { id: pw, type: secret }\n      - { id: c, type: code }\n", "{ acr: aal1 }"))
	tk := k.must(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane"})
	tk.ok("ok", "")
	wants(t, tk.say("approve", ""), flows.KindInternal, flows.CodeInternal)
}

// What a client wants approved is exactly what the flow shows, and looks like what it is.
func TestBadTransaction(t *testing.T) {
	t.Parallel()
	k := newKit(t, payments())
	for name, transaction := range map[string]map[string]string{
		"none":              nil,
		"a member less":     {"amount": "12.50"},
		"a member more":     {"amount": "12.50", "payee": "Ann", "fee": "1000"},
		"another member":    {"amount": "12.50", "Payee": "Ann"},
		"empty":             {"amount": "12.50", "payee": ""},
		"blank":             {"amount": "12.50", "payee": " "},
		"too long":          {"amount": "12.50", "payee": strings.Repeat("a", flows.MaxTransactionValue+1)},
		"two lines":         {"amount": "12.50", "payee": "Ann\nand John"},
		"a line separator":  {"amount": "12.50", "payee": "Ann\u2028and John"},
		"turned around":     {"amount": "12.50", "payee": "Ann \u202e05.21"},
		"isolated":          {"amount": "12.50", "payee": "Ann \u2066and\u2069"},
		"nobody sees it":    {"amount": "12\u200b.50", "payee": "Ann"},
		"a null":            {"amount": "12.50", "payee": "Ann\x00"},
		"not UTF-8":         {"amount": "12.50", "payee": "Ann\xff"},
		"private use":       {"amount": "12.50", "payee": "\ue000"},
		"ends with a blank": {"amount": "12.50 ", "payee": "Ann"},
	} {
		_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: transaction}, flows.Caller{})
		if err == nil {
			t.Errorf("%s: starts", name)
			continue
		}
		wants(t, err, flows.KindMalformed, flows.CodeMalformed)
	}
	longest := payment()
	longest["payee"] = strings.Repeat("a", flows.MaxTransactionValue)
	if _, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: longest}, flows.Caller{}); err != nil {
		t.Error(err)
	}
}

// A flow that shows nothing takes nothing: who starts it must not believe otherwise.
func TestTransactionOfAFlowWithoutOne(t *testing.T) {
	t.Parallel()
	k := newKit(t, definitions("      - { id: pw, type: secret }\n", "{ acr: aal1 }"))
	_, err := k.start(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: payment()}, flows.Caller{})
	wants(t, err, flows.KindMalformed, flows.CodeMalformed)
}

// Who starts over approves the same.
func TestRestartKeepsTheTransaction(t *testing.T) {
	t.Parallel()
	k := newKit(t, payments())
	tk := k.must(flows.StartRequest{ClientID: "app", Target: "t", LoginHint: "jane", Transaction: payment()})
	if err := tk.take(k.engine.Restart(t.Context(), tk.handle, flows.Caller{}, tk.view.Flow.Turn)); err != nil {
		t.Fatal(err)
	}
	tk.ok("ok", "jane")
	tk.ok("ok", "")
	if all := k.tokens.all(); len(all) != 1 || cmp.Diff(payment(), all[0].Approved[0].Arguments) != "" {
		t.Errorf("%+v", all)
	}
}
