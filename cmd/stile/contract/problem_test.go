package contract_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// A rotated key while the key endpoint is down is an outage, not a wrong answer.
func TestRotationDuringOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.start("flow", "sign-on")
	p.finish() // the keys are known
	w.clock.pass(time.Minute)
	p.start("flow", "sign-on")
	query := p.signOn()
	must(t, w.provider.RotateKeys())
	w.provider.Misbehave(oidctest.Status(oidctest.EndpointJWKS, 500))
	r := forwards(query)(p)
	if r.status != 503 {
		t.Error("an outage was told as a wrong answer, and counted as one")
	}
}

// A flow that asks for a key which it has just bound fails with a code of its own.
func TestEnrolledKeyCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	disableType(t, w, account.TypeTOTP)
	p := newPhone(t, w, "phone")
	p.start("flow", "again")
	p.until("BIOMETRIC_ATTESTATION_REQUIRED")
	r := p.post(p.view.NextStep.forward(), p.right())
	if !r.is(403, "authenticator_just_enrolled") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Whose handle is right is told where the run stands, whatever else is wrong.
func TestProblemsHaveTheView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.start("flow", "sign-on")
	q := p.signOn()
	for name, r := range map[string]reply{
		"400": p.send(http.MethodPost, p.view.NextStep.forward(), "{}"),
		"415": p.send(http.MethodPost, p.view.NextStep.forward(), "{}", header("Content-Type", "x/y")),
	} {
		if r.view.Flow.ID == "" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	w.provider.Misbehave(oidctest.Status(oidctest.EndpointToken, 500))
	r := forwards(q)(p)
	if r.view.Flow.ID == "" {
		t.Errorf("%s", r.body)
	}
}

// The repeat of a request that was refused gets the same answer again.
func TestRepeatOfAProblem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	p.start("flow", "local")
	send := func() reply {
		return p.send(http.MethodPost, p.view.NextStep.forward(), `{"username":"jane","password":"something else"}`, header("Idempotency-Key", "AAAAAAAAAAAAAAAAAAAAAA"))
	}
	if a, b := send(), send(); a.status != b.status || a.body != b.body {
		t.Errorf("\n%s%s", a.body, b.body)
	}
}
