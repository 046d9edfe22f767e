package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// people are the ways in which a secret can be wrong.
func people(t *testing.T, w *world) map[string]string {
	t.Helper()
	disabled := w.add(t, users.Person{Login: "gone", Password: password, TOTP: true})
	must(t, setStatus(w, disabled.Subject, account.Disabled))
	w.add(t, users.Person{Login: "bare"})
	return map[string]string{"wrong": login, "disabled": "gone", "without": "bare", "unknown": "nobody", "no login": "no\u0001body"}
}

// Unknown and disabled people, people without the authenticator and people who
// mistype get the same answers, attempt by attempt, until they are throttled
// and after it; each attempt leaves as many events.
func TestNobodyLearnsWhoExists(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		for _, flow := range []string{"local", "named"} {
			t.Run(store+"/"+flow, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, t, setup{definitions: corners, store: store})
				defer w.close(t)
				transcripts := map[string][]string{}
				for kind, name := range people(t, w) {
					transcripts[kind] = attempts(t, w, flow, name, kind == "disabled")
				}
				for kind, got := range transcripts {
					if !slices.Equal(got, transcripts["wrong"]) {
						for i := range got {
							if got[i] != transcripts["wrong"][i] {
								t.Errorf("attempt %d of %s:\n%s\nof wrong:\n%s", i, kind, got[i], transcripts["wrong"][i])
							}
						}
					}
				}
				if !slices.ContainsFunc(transcripts["wrong"], func(s string) bool { return strings.Contains(s, "throttled") }) {
					t.Error("nobody was ever throttled")
				}
			})
		}
	}
}

// attempts answers wrongly nine times in two runs, and rightly in the case of
// somebody who may not come in; what differs by chance is made equal.
func attempts(t *testing.T, w *world, flow, name string, rightly bool) []string {
	t.Helper()
	var out []string
	for range 3 {
		p := newPhone(t, w, "phone")
		if flow == "named" {
			p.start("flow", flow, "loginHint", name)
		} else {
			p.start("flow", flow)
		}
		id, began := p.view.Flow.ID, w.clock.now()
		for i := range 3 {
			body := map[string]any{"username": name, "password": "something else"}
			if rightly && i == 2 {
				body["password"] = password
			}
			if flow == "named" {
				body = map[string]any{"code": "123456"}
			}
			if p.view.NextStep == nil {
				break
			}
			events := len(w.events(t))
			r := p.post(p.view.NextStep.forward(), body)
			for _, e := range w.events(t)[events:] {
				r.body += e.Type + " " + e.Run + "\n"
			}
			r.body += fmt.Sprint(r.status, r.header.Get("Retry-After"), len(r.header))
			r.body = strings.ReplaceAll(r.body, id, "ID")
			r.body = strings.ReplaceAll(r.body, began.Add(10*time.Minute).Format(time.RFC3339), "END")
			out = append(out, r.body)
			w.clock.pass(2 * time.Second)
		}
		r := p.show()
		out = append(out, fmt.Sprint(r.status, r.view.NextStep != nil))
	}
	return out
}

// Statistics of the time that a refusal takes, with the costs of production. A
// check that is left out for people who do not exist would take a hundredth.
func TestTimeTellsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const samples, perPerson, factor = 60, 6, 3.0
	w := newWorld(t, t, setup{definitions: corners, hashing: "{ concurrent: 4 }"})
	defer w.close(t)
	names := map[string][]string{}
	for i := range samples / perPerson {
		known, gone := fmt.Sprintf("known%d", i), fmt.Sprintf("gone%d", i)
		w.add(t, users.Person{Login: known, Password: password})
		must(t, setStatus(w, w.add(t, users.Person{Login: gone, Password: password}).Subject, account.Disabled))
		names["known"], names["disabled"] = append(names["known"], known), append(names["disabled"], gone)
		names["unknown"] = append(names["unknown"], fmt.Sprintf("nobody%d", i))
	}
	took := map[string][]time.Duration{}
	p := newPhone(t, w, "phone")
	for i := range samples {
		for _, kind := range []string{"known", "disabled", "unknown"} {
			w.clock.pass(16 * time.Minute) // whoever was throttled is not any more
			p.start("flow", "local")
			body := text(t, map[string]any{"username": names[kind][i%(samples/perPerson)], "password": "something else"})
			began := time.Now()
			r := p.send(http.MethodPost, p.view.NextStep.forward(), body)
			took[kind] = append(took[kind], time.Since(began))
			if !r.is(422, "wrong_answer") {
				t.Fatalf("%s: %d %s", kind, r.status, r.body)
			}
		}
	}
	medians := map[string]time.Duration{}
	for kind, all := range took {
		slices.Sort(all)
		medians[kind] = all[len(all)/2]
	}
	t.Log(medians)
	for a, ma := range medians {
		for b, mb := range medians {
			if float64(ma) > factor*float64(mb) {
				t.Errorf("%s takes %s and %s %s", a, ma, b, mb)
			}
		}
	}
	if n := len(w.events(t)); n == 0 || w.events(t)[n-1].Type != flows.EventStepRejected {
		t.Error("nothing was checked")
	}
}
