package contract_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/steps/webauthntest"
)

const twoDoors = `
flows:
  door: { steps: [{ id: password, type: password }] }
  key: { steps: [{ id: key, type: passkey }] }
  code: { steps: [{ id: who, type: identify }, { id: code, type: totp }] }
  new-key: { steps: [{ id: password, type: password }, { id: code, type: totp }, { id: new, type: passkey_enrolment }] }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile }
clients:
  phone: { flows: [door, key, code, new-key], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

// Who knows a name can lock its password, and keeps nobody out by that: the owner's
// passkey, and the app on their phone, let them in as before (T-41).
func TestLockedPasswordLocksNobodyOut(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: twoDoors, store: store, person: &users.Person{TOTP: true}})
			defer w.close(t)
			keys := webauthntest.New(strings.Replace(w.node.URL(), "127.0.0.1", "localhost", 1))
			credential := func(made json.RawMessage, err error) map[string]any {
				t.Helper()
				must(t, err)
				return map[string]any{"credential": made}
			}
			owner := newPhone(t, w, "phone")
			owner.start("flow", "new-key")
			owner.answer()
			owner.answer()
			if r := owner.post(owner.view.NextStep.forward(), credential(keys.Create(owner.view.NextStep.Data))); r.view.Flow.Status != "completed" {
				t.Fatalf("the passkey: %d %s", r.status, r.body)
			}
			for i := range 20 {
				stranger := newPhone(t, w, "phone")
				stranger.start("flow", "door")
				if r := stranger.post(stranger.view.NextStep.forward(), map[string]any{"username": login, "password": "a guess"}); !r.is(422, "wrong_answer") {
					t.Fatalf("guess %d: %d %s", i, r.status, r.body)
				}
				w.clock.pass(16 * time.Minute)
			}
			w.clock.pass(30 * 24 * time.Hour)
			owner.start("flow", "door")
			if r := owner.post(owner.view.NextStep.forward(), owner.right()); !r.is(422, "wrong_answer") {
				t.Fatalf("the password is not locked: %d %s", r.status, r.body)
			}
			owner.start("flow", "key")
			if r := owner.post(owner.view.NextStep.forward(), credential(keys.Answer(owner.view.NextStep.Data))); r.status != 200 || r.view.Flow.Status != "completed" {
				t.Errorf("the passkey of a locked password: %d %s", r.status, r.body)
			}
			owner.start("flow", "code", "loginHint", login)
			if owner.finish(); owner.view.Flow.Status != "completed" {
				t.Errorf("one-time codes beside a locked password: %+v", owner.view)
			}
		})
	}
}
