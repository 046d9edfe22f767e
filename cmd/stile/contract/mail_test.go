package contract_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
)

const mailed = `
flows:
  mailed: { steps: [{ id: mail, type: email_code, resend: { max: 2, every: 30s } }] }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  phone: { flows: [mailed], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

// post is a web service that takes messages.
type post struct {
	arrived chan letter
	logs    *observer.ObservedLogs
}

type letter struct {
	ID, To, Text string
	Args         map[string]string
}

// mailing starts a node that sends by webhook.
func mailing(t *testing.T, store string) (*world, *post) {
	t.Helper()
	return mailingBy(t, store, mailed)
}

func mailingBy(t *testing.T, store, definitions string) (*world, *post) {
	t.Helper()
	p := &post{arrived: make(chan letter, 1000)}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var l letter
		if err := json.NewDecoder(r.Body).Decode(&l); err != nil || !strings.HasPrefix(r.Header.Get("Stile-Signature"), "t=") {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		p.arrived <- l
	}))
	t.Cleanup(service.Close)
	secret := filepath.Join(t.TempDir(), "webhook.secret")
	must(t, os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600))
	core, logs := observer.New(zap.DebugLevel)
	p.logs = logs
	w := newWorld(t, t, setup{
		definitions: definitions, store: store, logger: zap.New(core), person: &users.Person{Email: "jane@bank.example"},
		more: fmt.Sprintf("assurance: { deviations: [email_is_factor] }\ndelivery: { by: webhook, webhook: { url: %q, secret: { file: %q } }, per_account: 100 }\n", service.URL, secret),
	})
	t.Cleanup(func() { w.close(t) })
	return w, p
}

// next waits for a letter.
func (p *post) next(t *testing.T) letter {
	t.Helper()
	select {
	case l := <-p.arrived:
		return l
	case <-time.After(10 * time.Second):
		t.Fatal("no mail came")
		return letter{}
	}
}

// A code travels through the whole program, once, and nothing but the mail says it: invariants 8 and 14.
func TestCodeByMail(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w, mails := mailing(t, store)
			p := newPhone(t, w, "phone")
			p.start("flow", "mailed", "loginHint", login)
			first := mails.next(t)
			if r := p.post(p.view.NextStep.href("resend"), map[string]any{}); !r.is(429, "throttled") || r.header.Get("Retry-After") != "30" {
				t.Fatalf("too early: %d %s", r.status, r.body)
			}
			w.clock.pass(30 * time.Second)
			if r := p.post(p.view.NextStep.href("resend"), map[string]any{}); r.status != 200 {
				t.Fatalf("resend: %d %s", r.status, r.body)
			}
			second := mails.next(t)
			if first.To != "jane@bank.example" || first.ID == second.ID || !strings.Contains(second.Text, second.Args["code"]) {
				t.Errorf("%+v, %+v", first, second)
			}
			if first.Args["code"] != second.Args["code"] {
				if r := p.post(p.view.NextStep.forward(), map[string]any{"code": first.Args["code"]}); !r.is(422, "wrong_answer") {
					t.Errorf("the first code: %d %s", r.status, r.body)
				}
			}
			r := p.post(p.view.NextStep.forward(), map[string]any{"code": second.Args["code"]})
			if r.status != 200 || r.view.Flow.Status != "completed" || !slices.Equal(r.view.Assurance.AMR, []string{"otp", "urn:stile-auth:amr:email"}) {
				t.Fatalf("the second code: %d %s", r.status, r.body)
			}
			for _, e := range w.events(t) {
				quiet(t, fmt.Sprint(e), first, second)
			}
			for _, line := range mails.logs.All() {
				quiet(t, fmt.Sprint(line.Message, line.ContextMap()), first, second)
			}
			select {
			case l := <-mails.arrived:
				t.Errorf("a third mail: %+v", l)
			default:
			}
		})
	}
}

// quiet finds codes and addresses; a code may be part of a number, so it has to stand alone.
func quiet(t *testing.T, text string, letters ...letter) {
	t.Helper()
	for _, l := range letters {
		if regexp.MustCompile(`\b`+l.Args["code"]+`\b`).MatchString(text) || strings.Contains(text, l.To) {
			t.Errorf("%s says a code or an address", text)
		}
	}
}

// Unknown and disabled people and people without an address get the same answers
// as Jane, and no mail: invariant 13, T-50.
func TestNobodyLearnsWhoHasMail(t *testing.T) {
	t.Parallel()
	w, mails := mailing(t, "memory")
	gone := w.add(t, users.Person{Login: "gone", Email: "gone@bank.example"})
	must(t, setStatus(w, gone.Subject, account.Disabled))
	w.add(t, users.Person{Login: "bare"})
	transcripts := map[string]string{}
	for kind, name := range map[string]string{"known": login, "unknown": "nobody", "without": "bare", "disabled": "gone"} {
		transcripts[kind] = conversation(t, w, mails, name, kind == "disabled")
	}
	for kind, got := range transcripts {
		if got != transcripts["known"] {
			t.Errorf("%s:\n%s\nknown:\n%s", kind, got, transcripts["known"])
		}
	}
	for len(mails.arrived) > 0 {
		if l := mails.next(t); l.To != "jane@bank.example" && l.To != "gone@bank.example" {
			t.Errorf("a mail to %s", l.To)
		}
	}
}

// Where a code goes says the account, never a request (T-47).
func TestNobodyElseIsSentTheCode(t *testing.T) {
	t.Parallel()
	w, mails := mailing(t, "memory")
	p := newPhone(t, w, "phone")
	p.start("flow", "mailed", "loginHint", login)
	first := mails.next(t)
	w.clock.pass(30 * time.Second)
	for _, member := range []string{"email", "to", "destination", "phone", "address"} {
		r := p.post(p.view.NextStep.href("resend"), map[string]any{member: "eve@evil.example"})
		if r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", member, r.status, r.body)
		}
		p.show()
	}
	if r := p.post(p.view.NextStep.forward(), map[string]any{"code": first.Args["code"], "email": "eve@evil.example"}); r.status != http.StatusBadRequest {
		t.Errorf("beside the code: %d %s", r.status, r.body)
	}
	p.show()
	if r := p.post(p.view.NextStep.href("resend"), map[string]any{}); r.status != http.StatusOK {
		t.Fatalf("resend: %d %s", r.status, r.body)
	}
	if second := mails.next(t); second.To != "jane@bank.example" || len(mails.arrived) != 0 {
		t.Errorf("%+v, and %d more", second, len(mails.arrived))
	}
}

var varying = regexp.MustCompile(`"id":"[A-Z0-9]+"|"handle":"[^"]+"|"destination":".\*\*\*@.\*\*\*"|"[a-zA-Z]+At":"[^"]+"`)

// conversation asks for codes and gets them wrong, or right where that is of no use.
func conversation(t *testing.T, w *world, mails *post, name string, rightly bool) string {
	t.Helper()
	p := newPhone(t, w, "phone")
	var out []string
	note := func(r reply) {
		out = append(out, fmt.Sprint(r.status, " ", r.header.Get("Retry-After"), " ", varying.ReplaceAllString(r.body, "")))
	}
	p.start("flow", "mailed", "loginHint", name)
	note(p.show())
	for range 3 {
		note(p.post(p.view.NextStep.href("resend"), map[string]any{}))
		code := "000000"
		if rightly {
			l := mails.next(t)
			for l.To != name+"@bank.example" {
				l = mails.next(t)
			}
			code = l.Args["code"]
		}
		note(p.post(p.view.NextStep.forward(), map[string]any{"code": code}))
		w.clock.pass(time.Minute)
		if p.view.NextStep.href("resend") != "" {
			note(p.post(p.view.NextStep.href("resend"), map[string]any{}))
		}
	}
	return strings.Join(out, "\n")
}

// Statistics of the time that a code takes to be asked for and refused. A mail
// that was sent before the answer would take a hundred times as long.
func TestTimeTellsNothingOfMail(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const samples, factor = 150, 2.0
	w, _ := mailing(t, "memory")
	took := map[string][]time.Duration{}
	p := newPhone(t, w, "phone")
	for range samples {
		for kind, name := range map[string]string{"known": login, "unknown": "nobody"} {
			w.clock.pass(16 * time.Minute) // nobody is throttled
			began := time.Now()
			p.start("flow", "mailed", "loginHint", name)
			r := p.send(http.MethodPost, p.view.NextStep.forward(), `{"code":"000000"}`)
			took[kind] = append(took[kind], time.Since(began))
			if !r.is(422, "wrong_answer") {
				t.Fatalf("%s: %d %s", kind, r.status, r.body)
			}
		}
	}
	for _, all := range took {
		slices.Sort(all)
	}
	known, unknown := took["known"][samples/2], took["unknown"][samples/2]
	t.Log(known, unknown)
	if float64(known) > factor*float64(unknown) || float64(unknown) > factor*float64(known) {
		t.Errorf("known %s, unknown %s", known, unknown)
	}
}
