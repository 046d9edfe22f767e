package contract_test

import (
	"net/http"
	"testing"
)

// A handle that was replaced answers the repeat of the request that replaced
// it, byte for byte, and nothing and nobody else.
func TestReplacedHandleAnswersItsRepeatAlone(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: corners, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			p.start("flow", "local")
			const key, otherKey = "AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBB"
			old, href, body := p.handle, p.view.NextStep.forward(), text(t, p.right())
			first := p.send(http.MethodPost, href, body, header("Idempotency-Key", key))
			if first.status != http.StatusOK || first.view.Handle == "" {
				t.Fatalf("%d %s", first.status, first.body)
			}
			repeat := func(with, what string) reply {
				return p.send(http.MethodPost, href, what, header("Idempotency-Key", with))
			}
			events := len(w.events(t))
			if r := repeat(key, body); r.status != first.status || r.body != first.body || len(w.events(t)) != events {
				t.Errorf("the repeat: %d %s", r.status, r.body)
			}
			thief := p.other()
			for name, r := range map[string]reply{
				"without its key":        p.send(http.MethodPost, href, body),
				"with another key":       repeat(otherKey, body),
				"with another body":      repeat(key, `{"username":"jane","password":"another"}`),
				"to look":                p.show(header("Idempotency-Key", key)),
				"in the hands of others": thief.send(http.MethodPost, href, body, header("Idempotency-Key", key)),
			} {
				if !r.is(404, "flow_not_found") {
					t.Errorf("the replaced handle %s: %d %s", name, r.status, r.body)
				}
			}
			p.handle, p.view = first.view.Handle, first.view
			refuses(t, p, refusal{"the key with another body", func(p *phone) reply {
				return p.send(http.MethodPost, href, `{"username":"jane","password":"another"}`, header("Idempotency-Key", key))
			}, 422, "idempotency_key_reused"})
			p.answer()
			p.handle = old
			if r := p.send(http.MethodPost, href, body, header("Idempotency-Key", key)); !r.is(404, "flow_not_found") {
				t.Errorf("after the next answer: %d %s", r.status, r.body)
			}
		})
	}
}

// A session is worth something to the key that it was made for, and is the
// same as none to everybody else.
func TestSessionOfAnotherKeyIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.start("flow", "local")
	p.finish()
	session := p.view.Result.Session
	thief := newPhone(t, w, "phone")
	thief.start("flow", "local", "session", session)
	if thief.view.Flow.Status != "in_progress" || thief.view.Assurance.ACR != nil {
		t.Errorf("%+v", thief.view)
	}
	if got := string(thief.view.NextStep.Data); got != `{"identifierRequired":true}` {
		t.Errorf("the session told who it belongs to: %s", got)
	}
	p.start("flow", "local", "session", session)
	if p.view.Flow.Status != "completed" {
		t.Errorf("%+v", p.view)
	}
}
