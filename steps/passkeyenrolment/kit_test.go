package passkeyenrolment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/passkeyenrolment"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

const (
	jane   = "subject-of-jane"
	john   = "subject-of-john"
	origin = "https://login.bank.example"
	model  = "01020304-0506-0708-090a-0b0c0d0e0f10"
)

var (
	now     = time.Now().UTC().Truncate(time.Second) // go-webauthn holds certificates against the real clock
	party   = webauthn.Party{ID: "bank.example", Name: "Bank", Origins: []string{origin}}
	modelID = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	run     = flows.Visit{RunID: "run-1", StepID: "bind", Turn: 3, Attempt: 1, Now: now, Subject: jane, Claimed: jane, Level: assurance.AAL2}
)

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	if r.down {
		return errors.New("database is down")
	}
	return r.Accounts.AddAuthenticator(ctx, a)
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	for _, s := range []string{jane, john} {
		a := account.Account{Subject: s, Status: account.Active, Logins: []string{strings.TrimPrefix(s, "subject-of-")}, Created: now}
		if err := r.CreateAccount(t.Context(), a, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func configured(t testing.TB, r *repository, p webauthn.Party, with string) (flows.Step, error) {
	t.Helper()
	typ := passkeyenrolment.Type(r, r, p)
	registry, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: { f: { steps: [{ id: it, type: passkey_enrolment, with: " + with + " }] } }"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", registry)
	if err != nil {
		return nil, err
	}
	return typ.New(set.Flows["f"].Steps[0].With)
}

func newStep(t testing.TB, r *repository, p webauthn.Party, with string) flows.Step {
	t.Helper()
	s, err := configured(t, r, p, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(v flows.Visit, owner string) *flows.Visit { return flows.NewVisit(v, owner, memory.New()) }

func enter(t testing.TB, s flows.Step, v *flows.Visit) json.RawMessage {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(out.Asked().Data)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func body(credential json.RawMessage) flows.Input {
	return flows.Input(`{"credential":` + string(credential) + `,"name":"My key"}`)
}

func answer(t testing.TB, s flows.Step, v *flows.Visit, credential json.RawMessage, err error) flows.Outcome {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), v, body(credential))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// enrol plays the whole step.
func enrol(t testing.TB, s flows.Step, soft *webauthntest.Authenticator, change ...func(*webauthntest.Draft)) flows.Outcome {
	t.Helper()
	v := visit(run, "owner")
	credential, err := soft.Create(enter(t, s, v), change...)
	return answer(t, s, v, credential, err)
}

func refused(t testing.TB, out flows.Outcome, want webauthn.Refusal) {
	t.Helper()
	if got, ok := out.Rejected(); !ok || got != string(want) {
		t.Errorf("rejected %v with %q, want %q; enrolled %q", ok, got, want, out.EnrolledID())
	}
}

// metadata are those of one model, which a maker vouches for.
func metadata(t testing.TB, m *webauthntest.Maker, protection, status string) webauthn.Party {
	t.Helper()
	text := fmt.Sprintf(`{"no": 1, "nextUpdate": "2099-01-01", "entries": [{
		"aaguid": %[1]q, "timeOfLastStatusChange": "2026-01-01", "statusReports": [{"status": %[4]q, "effectiveDate": "2026-01-01"}],
		"metadataStatement": {
			"aaguid": %[1]q, "description": "Model", "authenticatorVersion": 1, "protocolFamily": "fido2", "schema": 3,
			"upv": [{"major": 1, "minor": 0}], "authenticationAlgorithms": ["secp256r1_ecdsa_sha256_raw"],
			"publicKeyAlgAndEncodings": ["cose"], "attestationTypes": ["basic_full"], "keyProtection": [%[3]q],
			"matcherProtection": ["on_chip"], "attachmentHint": ["internal"], "tcDisplay": [],
			"attestationRootCertificates": [%[2]q]
		}}]}`, model, m.Root(), protection, status)
	known, err := webauthn.ReadMetadata([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := party
	out.Metadata = known
	return out
}

func newMaker(t testing.TB) *webauthntest.Maker {
	t.Helper()
	m, err := webauthntest.NewMaker(modelID, now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
