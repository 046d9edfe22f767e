package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// mostResends is what no generated step exceeds.
const mostResends = 2

// evidence is what the model says a run rests on now: what was answered in it,
// and what its session proved, for the steps that were skipped.
func (w *model) evidence(r *modelRun) []proof {
	all := slices.Clone(r.proofs)
	for _, e := range w.k.events.all() {
		if e.Run != r.talk.view.Flow.ID || e.Type != flows.EventStepSkipped {
			continue
		}
		if r.def.kind == "transaction" {
			w.rt.Fatalf("step %s of a transaction was skipped", e.Step)
		}
		i := slices.IndexFunc(r.session, func(p proof) bool { return p.typ == r.def.types[e.Step] && r.fresh(p) })
		if i < 0 {
			w.rt.Fatalf("step %s was skipped without fresh evidence of its type in the session", e.Step)
		}
		all = append(all, r.session[i])
	}
	return all
}

// fresh says whether a proof is young enough for the target.
func (r *modelRun) fresh(p proof) bool {
	return !r.target || r.def.maxAge == 0 || r.begun.Sub(p.at) <= r.def.maxAge
}

// completed compares what was issued with what the model saw.
//
// Invariant 1 and 2 (CVE-2026-18963, CVE-2026-49448, CVE-2026-9091), 5
// (CVE-2023-3597), 6 (CVE-2024-29892), 10 (CVE-2026-9798), 15.
func (w *model) completed(r *modelRun, v flows.View) {
	r.done = true
	w.secrets = append(w.secrets, string(v.Result.Session))
	var live []proof
	proved := w.evidence(r)
	for _, p := range proved {
		if r.fresh(p) {
			live = append(live, p)
		}
	}
	for _, id := range r.def.mandatory {
		if typ := r.def.types[id]; typ != "note" && typ != "bind" && !slices.ContainsFunc(proved, func(p proof) bool { return p.typ == typ }) {
			w.rt.Fatalf("completed without %s (%s)\n%s", id, typ, r.def.text)
		}
	}
	if typ := r.def.behind; r.target && typ != "" && !slices.ContainsFunc(proved, func(p proof) bool { return p.typ == typ }) {
		w.rt.Fatalf("completed without what runs behind it\n%s", r.def.text)
	}
	if r.def.kind == "self_service" && len(r.session) == 0 {
		w.rt.Fatalf("self service without a session\n%s", r.def.text)
	}
	level, amr, oldest := judge(live)
	if level == assurance.None {
		w.rt.Fatal("completed without evidence")
	}
	if v.Result.Grant != nil {
		w.issued++
		w.secrets = append(w.secrets, v.Result.Grant.Token)
		w.checkIdentity(r, level, amr, oldest)
	}
	if (v.Result.Grant != nil) != r.target {
		w.rt.Fatal("a run with a target gives a token, and no other does")
	}
	kept := slices.Clone(r.proofs)
	for _, p := range r.session {
		if !slices.ContainsFunc(kept, func(q proof) bool { return q.typ == p.typ }) {
			kept = append(kept, p)
		}
	}
	w.sessions = append(w.sessions, keptSession{v.Result.Session, r.key, kept})
}

func (w *model) checkIdentity(r *modelRun, level assurance.Level, amr []string, oldest time.Time) {
	got := w.k.tokens.all()
	id := got[len(got)-1]
	a, err := w.k.people.Account(context.Background(), id.Subject)
	switch {
	case err != nil || a.Status != flows.AccountActive:
		w.rt.Fatalf("a token for the account %q (%s)", id.Subject, a.Status)
	case id.ACR != level.String() || !slices.Equal(id.AMR, amr):
		w.rt.Fatalf("acr %s amr %v, proved %s %v", id.ACR, id.AMR, level, amr)
	case level < r.def.requires:
		w.rt.Fatalf("a token of %s where %s is required", level, r.def.requires)
	case !id.AuthTime.Equal(oldest):
		w.rt.Fatalf("auth_time %s, oldest proof %s", id.AuthTime, oldest)
	}
}

// judge is the model's own reading of NIST SP 800-63B-4 for the fake steps.
func judge(proofs []proof) (assurance.Level, []string, time.Time) {
	know, have, know2, have2 := false, false, false, false
	var amr []string
	var oldest time.Time
	for _, p := range proofs {
		if p.typ == "code" {
			have, have2 = true, have2 || p.binding >= assurance.AAL2
			amr = append(amr, "otp")
		} else {
			know, know2 = true, know2 || p.binding >= assurance.AAL2
			amr = append(amr, "pwd")
		}
		if oldest.IsZero() || p.at.Before(oldest) {
			oldest = p.at
		}
	}
	if know && have {
		amr = append(amr, "mfa")
	}
	slices.Sort(amr)
	switch {
	case know2 && have2:
		return assurance.AAL2, slices.Compact(amr), oldest
	case know || have:
		return assurance.AAL1, slices.Compact(amr), oldest
	}
	return assurance.None, nil, oldest
}

// check holds after every request.
func (w *model) check() {
	if n := len(w.k.tokens.all()); n != w.issued { // one issuing function: whatever left was seen to be earned
		w.rt.Fatalf("%d tokens were made, %d were earned", n, w.issued)
	}
	ends, subjects, sent := map[string]int{}, map[string]string{}, map[string]int{}
	for _, e := range w.k.events.all() {
		switch e.Type {
		case flows.EventRunCompleted, flows.EventRunFailed, flows.EventRunCancelled:
			ends[e.Run]++
		case flows.EventMessageSent:
			if sent[e.Run+e.Step]++; sent[e.Run+e.Step] > 1+mostResends { // CVE-2024-8122, T-46
				w.rt.Fatalf("step %s of run %s sent %d messages", e.Step, e.Run, sent[e.Run+e.Step])
			}
		}
		if e.Run == "" || e.Subject == "" {
			continue
		}
		if s, ok := subjects[e.Run]; ok && s != e.Subject { // invariant 4: CVE-2023-6787, CVE-2023-26481
			w.rt.Fatalf("the subject of run %s went from %s to %s", e.Run, s, e.Subject)
		}
		subjects[e.Run] = e.Subject
	}
	for id, r := range w.runs {
		if over := r.talk.view.Flow.Status != flows.InProgress; over && ends[id] != 1 || ends[id] > 1 { // invariant 14
			w.rt.Fatalf("run %s (%s) ended %d times", id, r.talk.view.Flow.Status, ends[id])
		}
	}
	data, err := json.Marshal(w.k.events.all())
	if err != nil {
		w.rt.Fatal(err)
	}
	w.leaks(string(data))
}

// leaks: no event and no problem holds a secret (invariant 14).
func (w *model) leaks(text string) {
	for _, s := range w.secrets {
		if strings.Contains(text, s) {
			w.rt.Fatalf("a secret stands in %s", text)
		}
	}
}

// opened does something with a link that was sent, good or not, on any node. No
// page proves, issues, moves on or ends anything: Keycloak's reset link did
// (CVE-2026-18963).
func (w *model) opened(rt *rapid.T) {
	all := w.k.mails.links()
	if len(all) == 0 {
		rt.Skip("no link was sent")
	}
	link := rapid.SampledFrom(all).Draw(rt, "link")
	w.secrets = append(w.secrets, string(link))
	e := w.nodes[rapid.IntRange(0, len(w.nodes)-1).Draw(rt, "node")].engine
	moved := func() int {
		n := len(w.k.tokens.all())
		for _, ev := range w.k.events.all() {
			switch ev.Type {
			case flows.EventLinkConfirmed, flows.EventLinkDenied, flows.EventRefused, flows.EventNotified:
			default:
				n++
			}
		}
		return n
	}
	before := moved()
	name := rapid.SampledFrom([]string{"look", "confirm", "deny"}).Draw(rt, "what")
	_, err := pagesOf(e)[name](context.Background(), link, "")
	var p *flows.Problem
	if err != nil && (!errors.As(err, &p) || p.Kind != flows.KindNotFound) {
		w.rt.Fatalf("%s: %v", name, err)
	}
	if moved() != before {
		w.rt.Fatalf("%s: a page moved a run: %+v", name, w.k.events.all())
	}
	if _, again := e.ConfirmLink(context.Background(), link, ""); again == nil && name != "look" {
		w.rt.Fatalf("a link was good after %s", name)
	}
}
