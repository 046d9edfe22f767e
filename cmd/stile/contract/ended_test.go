package contract_test

import (
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/cmd/stile/users"
)

const changes = `
flows:
  door: { steps: [{ id: password, type: password }] }
  change:
    steps:
      - { id: password, type: password }
      - { id: code, type: totp }
      - { id: new, type: password_change }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  phone: { flows: [door, change], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

// A new password ends the sessions of everybody else who knows the old one, on
// their own phones; the session of who set it goes on.
func TestNewPasswordEndsOtherSessions(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: changes, store: store})
			defer w.close(t)
			signedIn := func() *phone {
				p := newPhone(t, w, "phone")
				p.start("flow", "door")
				p.finish()
				return p
			}
			thief, owner := signedIn(), signedIn()
			stolen, own := thief.view.Result.Session, owner.view.Result.Session
			half := newPhone(t, w, "phone")
			half.start("flow", "change")
			half.answer()
			w.clock.pass(time.Minute)

			owner.start("flow", "change", "session", own)
			owner.answer()
			if r := owner.post(owner.view.NextStep.forward(), map[string]any{"current": password, "new": "another canary, and wider valleys"}); r.view.Flow.Status != "completed" {
				t.Fatalf("the change: %d %s", r.status, r.body)
			}
			own = owner.view.Result.Session

			unknown, ended := newPhone(t, w, "phone"), thief
			unknown.start("flow", "door", "session", "Zr7mD5n0hHn1Qq7C1cX6V3bq0P9d8o2kYw4tJ5uS6eA")
			ended.start("flow", "door", "session", stolen)
			if ended.view.Flow.Status != "in_progress" || string(ended.view.NextStep.Data) != string(unknown.view.NextStep.Data) {
				t.Errorf("the session that has ended: %+v, one that is unknown: %+v", ended.view, unknown.view)
			}
			if r := half.post(half.view.NextStep.forward(), half.right()); !r.is(403, "login_required") {
				t.Errorf("a run of before: %d %s", r.status, r.body)
			}
			owner.start("flow", "door", "session", own)
			if owner.view.Flow.Status != "completed" {
				t.Errorf("the owner's own: %+v", owner.view)
			}
		})
	}
}

// The run that changed the password goes on, and so does what it gives a relying party,
// also if it is over with that change.
func TestTheChangeItselfSignsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: changing, person: &users.Person{}})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", "", "https://shop.example/back", "openid", "offline_access")
	b := newVisitor(t, w)
	b.open(p.address())
	b.signIn()
	w.clock.pass(time.Minute)
	b.submit(map[string]string{"current": password, "new": "another canary, and wider valleys"})
	token, err := p.trade(b.code())
	must(t, err)
	w.clock.pass(time.Minute)
	if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil {
		t.Error(err)
	}
}

const changing = `
flows:
  change:
    steps:
      - { id: password, type: password }
      - { id: new, type: password_change }
targets:
  orders: { flow: change, propagate: { type: bearer_jwt, audience: "https://orders.example" } }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  shop:
    flows: [change]
    targets: [orders]
    redirect_uris: ["https://shop.example/back"]
    dpop: optional
    oauth: { auth: none, grants: [authorization_code, refresh_token], scopes: [openid, offline_access] }
`
