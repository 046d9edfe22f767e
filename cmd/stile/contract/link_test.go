package contract_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

const linked = `
flows:
  mailed: { steps: [{ id: link, type: magic_link, resend: { max: 2, every: 30s } }] }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  phone: { flows: [mailed], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

func (l letter) token() string {
	return l.Args["link"][strings.LastIndexByte(l.Args["link"], '/')+1:]
}

// asked starts a run of Jane's and waits for its mail.
func asked(t *testing.T, w *world, mails *post) (*phone, letter) {
	t.Helper()
	p := newPhone(t, w, "phone")
	p.start("flow", "mailed", "loginHint", login)
	return p, mails.next(t)
}

const (
	yes = "Yes, that was me"
	no  = "No, that was not me"
)

var pageCode = regexp.MustCompile(`<strong>([0-9]{8})</strong>`)

// press opens a link in a browser of its own and presses a button.
func press(t *testing.T, uri, button string) (code string, page *browser.Page) {
	t.Helper()
	page, err := newBrowser(t).Open(t.Context(), uri)
	must(t, err)
	if page.Status != http.StatusOK || !strings.Contains(string(page.Body), "The app phone asked at ") {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	page, err = page.Submit(t.Context(), button, nil)
	must(t, err)
	if m := pageCode.FindSubmatch(page.Body); m != nil {
		code = string(m[1])
	}
	return code, page
}

// said is what the prompt shows.
func (p *phone) said() (d struct{ Sent, Confirmed bool }) {
	p.t.Helper()
	must(p.t, json.Unmarshal(p.view.NextStep.Data, &d))
	return d
}

// look shows the run and takes it over.
func (p *phone) look(edits ...func(*http.Request)) reply {
	p.t.Helper()
	r := p.show(edits...)
	p.view = r.view
	return r
}

// The whole way of a link that is opened elsewhere: the app that waits sees it at
// once, the page's code completes the run, and nothing but mail and page say
// either secret. Invariants 8 and 14.
func TestLinkByMail(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w, mails := mailingBy(t, store, linked)
			p, mail := asked(t, w, mails)
			if !strings.HasPrefix(mail.Args["link"], w.node.URL()+"/link/") || !strings.Contains(mail.Text, mail.Args["link"]) || mail.To != "jane@bank.example" {
				t.Fatalf("%+v", mail)
			}
			waited := make(chan reply, 1)
			go func() { waited <- p.show(header("Prefer", "wait=20")) }()
			code, page := press(t, mail.Args["link"], yes)
			r := <-waited
			if p.view = r.view; r.status != http.StatusOK || !p.said().Confirmed || r.view.Assurance.ACR != nil || len(r.view.Assurance.AMR) > 0 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if h := page.Header; h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || code == "" {
				t.Errorf("%v %s", page.Header, page.Body)
			}
			answers := []string{r.body, p.post(p.view.NextStep.forward(), map[string]any{"token": mail.token()}).body}
			done := p.post(p.view.NextStep.forward(), map[string]any{"code": code})
			if done.status != http.StatusOK || done.view.Flow.Status != "completed" || !slices.Equal(done.view.Assurance.AMR, []string{"otp", "urn:stile-auth:amr:email"}) {
				t.Fatalf("%d %s", done.status, done.body)
			}
			answers = append(answers, done.body)
			for _, line := range mails.logs.All() {
				answers = append(answers, fmt.Sprint(line.Message, line.ContextMap()))
			}
			for _, e := range w.events(t) {
				answers = append(answers, fmt.Sprint(e))
			}
			for _, text := range answers {
				if strings.Contains(text, mail.token()) || regexp.MustCompile(`\b`+code+`\b`).MatchString(text) || strings.Contains(text, mail.To) {
					t.Errorf("%s says a token, a code or an address", text)
				}
			}
		})
	}
}

// On the device that asked, the app opens the link: no page, no code.
func TestLinkOnTheSameDevice(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	p, mail := asked(t, w, mails)
	r := p.post(p.view.NextStep.forward(), map[string]any{"token": mail.token()})
	if r.status != http.StatusOK || r.view.Flow.Status != "completed" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	page, err := newBrowser(t).Open(t.Context(), mail.Args["link"])
	gone(t, page, err)
}

// The stream of events tells of a link that was opened, as it tells of all else.
func TestLinkInTheStream(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	p, mail := asked(t, w, mails)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.node.URL()+"/v1/flow/events", http.NoBody)
	must(t, err)
	req.Header.Set("Authorization", "Flow "+p.handle)
	req.Header.Set("DPoP", p.proof(http.MethodGet, "/v1/flow/events"))
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	seen := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var v view
		must(t, json.Unmarshal([]byte(data), &v))
		p.view = v
		if seen++; seen == 1 {
			press(t, mail.Args["link"], yes)
			continue
		}
		if p.said().Confirmed {
			return
		}
		t.Fatalf("the stream says %s", data)
	}
	t.Fatal("the stream ended")
}

// Mail scanners and previews open links before people do, with GET and with
// HEAD, and some send the forms that they find: nothing is spent, and nothing is proved.
func TestLinksArePrefetched(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	p, mail := asked(t, w, mails)
	before, events := p.look().body, len(w.events(t))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet, http.MethodOptions} {
		for range 5 {
			req, err := http.NewRequestWithContext(t.Context(), method, mail.Args["link"], http.NoBody)
			must(t, err)
			resp, err := http.DefaultClient.Do(req)
			must(t, err)
			must(t, resp.Body.Close())
			if method == http.MethodGet && resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d", method, resp.StatusCode)
			}
		}
	}
	if after := p.look().body; after != before || len(w.events(t)) != events {
		t.Errorf("%s\n%s\n%d events more", before, after, len(w.events(t))-events)
	}
	for _, form := range []string{"", "_answer=confirm", "_answer=confirm&_token=" + strings.Repeat("0", 64)} {
		resp, err := http.Post(mail.Args["link"], "application/x-www-form-urlencoded", strings.NewReader(form))
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%q: %d", form, resp.StatusCode)
		}
	}
	if p.look(); p.said().Confirmed {
		t.Error("a form that no page made was taken")
	}
	press(t, mail.Args["link"], yes) // and the person still can
	if p.look(); !p.said().Confirmed {
		t.Error("the link was spent")
	}
}

// Eve begins a run in Jane's name, and Jane believes the mail: without what only
// Jane's page shows, Eve has five guesses in a hundred million.
func TestLinkOfAnAttackersRun(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	eve, mail := asked(t, w, mails)
	code, _ := press(t, mail.Args["link"], yes)
	eve.look()
	for i := range 5 {
		guess := fmt.Sprintf("%08d", i)
		if guess == code {
			continue
		}
		for {
			r := eve.post(eve.view.NextStep.forward(), map[string]any{"code": guess})
			if r.status != http.StatusTooManyRequests {
				break
			}
			w.clock.pass(time.Duration(r.view.RetryAfter) * time.Second)
		}
		if eve.view.NextStep == nil {
			break
		}
	}
	if eve.view.Flow.Status != "failed" || eve.view.Assurance.ACR != nil {
		t.Errorf("%+v", eve.view)
	}
	if r := eve.post("/v1/flow/steps/link?turn=8", map[string]any{"code": code}); r.status != http.StatusGone && r.status != http.StatusForbidden {
		t.Errorf("too late: %d %s", r.status, r.body)
	}
}

// Guesses count on the address, in whichever run, and together with those of
// codes by mail: twenty in a row, and what is right is wrong.
func TestLinkGuessesAreCounted(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	for range 4 {
		p, _ := asked(t, w, mails)
		for p.view.NextStep != nil {
			w.clock.pass(time.Minute)
			if r := p.post(p.view.NextStep.forward(), map[string]any{"code": "00000000"}); r.status == http.StatusNotFound {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		w.clock.pass(time.Hour)
	}
	p, mail := asked(t, w, mails)
	if r := p.post(p.view.NextStep.forward(), map[string]any{"token": mail.token()}); !r.is(http.StatusUnprocessableEntity, "wrong_answer") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Two runs of one account: what one was sent, or shown, completes the other by
// no way. CVE-2022-23555, CVE-2025-46815.
func TestLinksAreNotSwapped(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	jane, first := asked(t, w, mails)
	eve, second := asked(t, w, mails)
	for name, r := range map[string]reply{
		"the other's token":        eve.post(eve.view.NextStep.forward(), map[string]any{"token": first.token()}),
		"the other's token, again": jane.post(jane.view.NextStep.forward(), map[string]any{"token": second.token()}),
	} {
		if !r.is(http.StatusUnprocessableEntity, "wrong_answer") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	code, _ := press(t, first.Args["link"], yes)
	if eve.look(); eve.said().Confirmed {
		t.Error("one link confirms the run of another")
	}
	if r := eve.post(eve.view.NextStep.forward(), map[string]any{"code": code}); !r.is(http.StatusUnprocessableEntity, "wrong_answer") {
		t.Errorf("the other's code: %d %s", r.status, r.body)
	}
	jane.look()
	w.clock.pass(time.Minute) // three were wrong
	if r := jane.post(jane.view.NextStep.forward(), map[string]any{"code": code}); r.status != http.StatusOK {
		t.Errorf("their own code: %d %s", r.status, r.body)
	}
}

// Who did not ask says so: the run is refused for good, and Jane is told.
func TestLinkDenied(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	eve, mail := asked(t, w, mails)
	code, page := press(t, mail.Args["link"], no)
	if code != "" || page.Status != http.StatusOK || !strings.Contains(string(page.Body), "Nobody gets in") {
		t.Errorf("%d %s", page.Status, page.Body)
	}
	notice := mails.next(t)
	if notice.To != "jane@bank.example" || !strings.Contains(notice.Text, "had not been asked for by you") {
		t.Errorf("%+v", notice)
	}
	if r := eve.post(eve.view.NextStep.forward(), map[string]any{"token": mail.token()}); !r.is(http.StatusConflict, "stale_turn") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := eve.post(eve.view.NextStep.forward(), map[string]any{"token": mail.token()}); !r.is(http.StatusForbidden, "access_denied") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if !slices.ContainsFunc(w.events(t), func(e flows.Event) bool { return e.Type == flows.EventLinkDenied && e.Step == "link" }) {
		t.Error("no event tells of it")
	}
	again, err := newBrowser(t).Open(t.Context(), mail.Args["link"])
	gone(t, again, err)
}

// Of a browser that confirms and one that denies at once, one does; the other
// has a link like any that is none.
func TestLinkConfirmedAndDenied(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "sqlite", linked)
	_, mail := asked(t, w, mails)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	var pages []*browser.Page
	for range 8 {
		page, err := newBrowser(t).Open(t.Context(), mail.Args["link"])
		must(t, err)
		pages = append(pages, page)
	}
	for i, page := range pages {
		button := yes
		if i%2 == 0 {
			button = no
		}
		wg.Go(func() {
			done, err := page.Submit(t.Context(), button, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			statuses[done.Status]++
		})
	}
	wg.Wait()
	if statuses[http.StatusOK] != 1 || statuses[http.StatusNotFound] != 7 {
		t.Errorf("%v", statuses)
	}
}

// A link of an address that the account has no more is good for nothing, neither
// in the app nor in the mailbox that it went to.
func TestLinkToAnAddressThatWasChanged(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	p, mail := asked(t, w, mails)
	all, err := w.node.Base.Accounts.Authenticators(w.ctx, w.added.Subject)
	must(t, err)
	for _, a := range all {
		if a.Type == account.TypeEmail {
			must(t, w.node.Base.Accounts.UpdateAuthenticator(w.ctx, a.ID, func(a *account.Authenticator) error {
				a.Data = []byte(`{"address":"jane@new.example"}`)
				return nil
			}))
		}
	}
	if r := p.post(p.view.NextStep.forward(), map[string]any{"token": mail.token()}); !r.is(http.StatusUnprocessableEntity, "wrong_answer") {
		t.Errorf("%d %s", r.status, r.body)
	}
	_, page := press(t, mail.Args["link"], yes)
	gone(t, page, nil)
	if p.look(); p.said().Confirmed {
		t.Error("the old mailbox confirms")
	}
}

// Unknown and disabled people and people without an address get the same answers
// as Jane, and no mail: invariant 13, T-50.
func TestNobodyLearnsWhoGetsLinks(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	gone := w.add(t, users.Person{Login: "gone", Email: "gone@bank.example"})
	must(t, setStatus(w, gone.Subject, account.Disabled))
	w.add(t, users.Person{Login: "bare"})
	transcripts := map[string]string{}
	for kind, name := range map[string]string{"known": login, "unknown": "nobody", "without": "bare", "disabled": "gone"} {
		p := newPhone(t, w, "phone")
		var out []string
		note := func(r reply) {
			out = append(out, fmt.Sprint(r.status, " ", r.header.Get("Retry-After"), " ", varying.ReplaceAllString(r.body, "")))
		}
		p.start("flow", "mailed", "loginHint", name)
		note(p.show())
		for _, answer := range []map[string]any{{"token": strings.Repeat("A", 43)}, {"code": "00000000"}, {"code": "x"}} {
			note(p.post(p.view.NextStep.href("resend"), map[string]any{}))
			note(p.post(p.view.NextStep.forward(), answer))
			w.clock.pass(time.Minute)
			note(p.post(p.view.NextStep.href("resend"), map[string]any{}))
		}
		transcripts[kind] = strings.Join(out, "\n")
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

// Whatever is wrong with a link, its page is the same to the byte.
func TestLinkPagesTellNothing(t *testing.T) {
	t.Parallel()
	w, mails := mailingBy(t, "memory", linked)
	p, used := asked(t, w, mails)
	p.post(p.view.NextStep.forward(), map[string]any{"token": used.token()})
	_, expired := asked(t, w, mails)
	w.clock.pass(10 * time.Minute)
	q, replaced := asked(t, w, mails)
	w.clock.pass(30 * time.Second)
	q.post(q.view.NextStep.href("resend"), map[string]any{})
	seen := map[string][]string{}
	for name, token := range map[string]string{
		"used": used.token(), "expired": expired.token(), "replaced": replaced.token(), "never": strings.Repeat("A", 43),
		"a handle": p.handle, "short": "x", "long": strings.Repeat("A", 4000), "odd": "%00%2e%2e",
	} {
		page, err := newBrowser(t).Open(t.Context(), w.node.URL()+"/link/"+token)
		gone(t, page, err)
		page.Header.Del("X-Request-Id")
		page.Header.Del("Date")
		text := fmt.Sprint(page.Header, string(page.Body))
		seen[text] = append(seen[text], name)
	}
	if len(seen) != 1 {
		t.Errorf("%d pages: %v", len(seen), seen)
	}
}
