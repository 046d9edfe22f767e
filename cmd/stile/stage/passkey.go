package stage

import (
	"context"
	"encoding/json"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

// keyring is the person's passkeys, in an authenticator in software.
type keyring struct {
	own        *webauthntest.Authenticator
	last, made json.RawMessage // the last assertion and the last creation
}

func newKeyring() *keyring {
	k := &keyring{own: webauthntest.New(baseURL)}
	k.own.Counts = true
	return k
}

// bindPasskey makes a passkey of the account: it comes out of an enrolment that nobody asked for.
func (k *keyring) bindPasskey(subject string) (id string, data []byte, err error) {
	if err := makeIn(k.own, subject); err != nil {
		return "", nil, err
	}
	credential, public := k.own.Newest()
	data, err = json.Marshal(account.PasskeyData{
		Credential: credential, Key: public, Algorithm: webauthntest.ES256, Transports: []string{"internal"}, Counter: 1,
	})
	return webauthn.ID(credential), data, err
}

// makeIn makes a credential of an account in an authenticator.
func makeIn(a *webauthntest.Authenticator, subject string) error {
	options, err := json.Marshal(map[string]any{
		"rp": map[string]any{"id": webauthn.Default(baseURL).ID}, "user": map[string]any{"id": webauthn.Handle(subject)},
		"challenge": otherChallenge, "pubKeyCredParams": []any{map[string]any{"type": "public-key", "alg": webauthntest.ES256}},
	})
	if err != nil {
		return err
	}
	_, err = a.Create(options)
	return err
}

const otherSite = "https://stile.example.evil.example"

// distort is what a word does to what is about to be signed; false: the word is not known.
func distort(word string) (func(*webauthntest.Draft), bool) {
	switch word {
	case "ok":
		return func(*webauthntest.Draft) {}, true
	case "wrong":
		return func(d *webauthntest.Draft) { d.Client["challenge"] = otherChallenge }, true
	case "other-origin":
		return func(d *webauthntest.Draft) { d.Client["origin"] = otherSite }, true
	}
	return nil, false
}

// usePasskey knows ok, wrong (over another challenge), other-origin (lured by
// another site), replayed (the last answer again), and removed: one that the
// account has not, or no more.
func (p *play) usePasskey(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	k := p.keys
	draft, known := distort(q.Word)
	var err error
	switch id, _ := k.own.Newest(); {
	case q.Word == "replayed" && k.last != nil:
		return wrapped(k.last, nil)
	case q.Word == "removed":
		lost := webauthntest.New(baseURL)
		if err := makeIn(lost, p.person.login); err != nil {
			return nil, err
		}
		return wrapped(lost.Answer(q.Data))
	case !known:
		return nil, unknownWord("passkey", q.Word, "ok, wrong, other-origin, removed, and replayed once there was one")
	case id == nil && q.Word != "ok":
		if err := makeIn(k.own, p.person.login); err != nil {
			return nil, err
		}
		k.last, err = k.own.Answer(q.Data, draft)
	case id == nil:
		return nil, p.lacks(account.TypePasskey)
	default:
		k.last, err = k.own.Answer(q.Data, draft)
	}
	return wrapped(k.last, err)
}

// makePasskey knows ok, wrong (over another challenge), other-origin (lured by
// another site), and replayed (the last one again).
func (p *play) makePasskey(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	draft, known := distort(q.Word)
	switch {
	case q.Word == "replayed" && p.keys.made != nil:
		return wrapped(p.keys.made, nil)
	case !known:
		return nil, unknownWord("passkey_enrolment", q.Word, "ok, wrong, other-origin, and replayed once there was one")
	}
	maker := p.keys.own
	if q.Word != "ok" { // what comes of it is not kept
		maker = webauthntest.New(baseURL)
	}
	var err error
	p.keys.made, err = maker.Create(q.Data, draft)
	return wrapped(p.keys.made, err)
}

// wrapped is the body of an answer.
func wrapped(credential json.RawMessage, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{"credential": credential})
}
