package contract_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// Something that is absent is a failed check: whichever required member of a
// body, claim or header parameter of an ID token, of a device's signature or
// of a DPoP proof is left out, at whichever prompt of whichever flow, the run
// does not go on; and with it, it does.
func TestAbsentIsFailed(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			provider := startProvider(t, c)
			rapid.Check(t, func(rt *rapid.T) {
				items := []*item{(&generator{t: rt}).step([]string{"sso", "password"}, false)}
				g := &generator{t: rt, n: 1}
				for range rapid.IntRange(1, 4).Draw(rt, "items") {
					items = append(items, g.item(1))
				}
				text := definitions(items, "", "aal2")
				rt.Logf("%s", text)
				w := newWorld(t, rt, setup{definitions: text, store: store, clock: c, provider: provider})
				defer w.close(rt)
				p := newPhone(rt, w, "phone")
				if rapid.Bool().Draw(rt, "bound") {
					p.start("flow", "prepare")
					p.finish()
				}
				p.omit()
			})
		})
	}
}

// omit plays the flow as far as it goes; before each right answer it tries some
// from which something is missing.
func (p *phone) omit() {
	p.handle = ""
	r := p.post("/v1/flows", map[string]any{"clientId": p.client, "target": "app"})
	if r.status == http.StatusForbidden {
		return
	}
	for range 20 {
		spent := false
		for range 2 {
			if p.view.NextStep == nil {
				return
			}
			spent = p.omitSomething() || spent
		}
		asked := p.view.NextStep
		r := p.post(asked.forward(), p.rightOrNone())
		if spent && r.is(422, "wrong_answer") { // a code that was sent in vain is not sent again
			asked = p.view.NextStep
			r = p.post(asked.forward(), p.right())
		}
		switch {
		case r.status == http.StatusOK && asked.Type == "DEVICE_ENROLMENT_REQUIRED":
			p.device = p.pending
		case r.status == http.StatusOK:
		case r.status == http.StatusForbidden && r.view.Result == nil:
			return // a guard, a missing option: not a matter of this test
		default:
			p.t.Fatalf("%s, answered rightly: %d %s", asked.Type, r.status, r.body)
		}
	}
}

// rightOrNone signs with a fresh key where this phone has none.
func (p *phone) rightOrNone() map[string]any {
	if p.device == nil {
		p.device = newSigner(p.t.(*rapid.T))
	}
	return p.right()
}

// omitSomething reports whether the provider was down for it.
func (p *phone) omitSomething() (down bool) {
	rt := p.t.(*rapid.T)
	before := p.show()
	asked := before.view.NextStep
	what := []string{"member", "proof", "proof header", "headers"}
	switch asked.Type {
	case "DEVICE_ENROLMENT_REQUIRED", "BIOMETRIC_ATTESTATION_REQUIRED":
		what = append(what, "signature", "signature header", "part", "signature", "signature header")
	case ssoPrompt:
		what = append(what, "ID token", "ID token", "parameter", "token response")
	}
	kind := rapid.SampledFrom(what).Draw(rt, "what")
	name := ""
	drop := func(_, _ map[string]any) {}
	from := func(names ...string) string { name = rapid.SampledFrom(names).Draw(rt, "name"); return name }
	omit := func(m map[string]any) { from(slices.Sorted(maps.Keys(m))...); delete(m, name) }
	switch kind {
	case "proof":
		drop = func(_, claims map[string]any) { omit(claims) }
	case "proof header":
		drop = func(header, _ map[string]any) {
			if rapid.Bool().Draw(rt, "of the key") {
				header["jwk"] = maps.Clone(header["jwk"].(map[string]any))
				omit(header["jwk"].(map[string]any))
				return
			}
			omit(header)
		}
	}
	switch kind {
	case "signature":
		p.deviceSpoilt = func(_, claims map[string]any) { omit(claims) }
	case "signature header":
		p.deviceSpoilt = func(header, _ map[string]any) { omit(header) }
	case "ID token":
		p.w.provider.Misbehave(oidctest.DropClaims(from("iss", "sub", "aud", "exp", "iat", "nonce")))
	case "token response":
		p.w.provider.Misbehave(oidctest.DropMembers(oidctest.EndpointToken, from("id_token", "access_token", "token_type")))
	}
	body := p.rightOrNone()
	switch kind {
	case "member":
		omit(body)
	case "part":
		parts := strings.Split(body["jws"].(string), ".")
		parts[rapid.IntRange(0, 2).Draw(rt, "part")] = ""
		body["jws"] = strings.Join(parts, ".")
	case "parameter":
		query := strings.Split(body["queryString"].(string), "&")
		i := rapid.IntRange(0, len(query)-1).Draw(rt, "parameter")
		name = query[i]
		body["queryString"] = strings.Join(slices.Delete(query, i, i+1), "&")
	}
	if strings.HasPrefix(kind, "proof") {
		p.proofSpoilt = drop
	}
	send := text(rt, body)
	var r reply
	if kind == "headers" {
		from("Authorization", "Dpop", "Content-Type")
		r = p.send(http.MethodPost, asked.forward(), send, func(q *http.Request) { delete(q.Header, name) })
	} else {
		r = p.send(http.MethodPost, asked.forward(), send)
	}
	p.w.provider.Behave()
	after := p.show()
	p.view = after.view
	if r.status < 400 || r.view.Handle != "" || r.view.Result != nil || after.status != http.StatusOK ||
		after.view.Flow.Status != "in_progress" || after.view.NextStep.StepID != asked.StepID ||
		text(rt, after.view.Assurance) != text(rt, before.view.Assurance) {
		rt.Fatalf("%s without %s %q: %d %s", asked.Type, kind, name, r.status, r.body)
	}
	if r.status == 500 || r.status == 503 && kind != "token response" {
		rt.Errorf("%s without %s %q: %d %s", asked.Type, kind, name, r.status, r.body)
	}
	return r.status == 503
}
