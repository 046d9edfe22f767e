package stage

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pquerna/otp"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
)

// scanSeed knows ok: the person's app reads the seed and shows its first code; wrong.
func (p *play) scanSeed(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		URI string `json:"uri"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	key, err := otp.NewKeyFromURL(prompt.URI)
	if err != nil {
		return nil, errors.New("the app cannot read the URI")
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key.Secret())
	if err != nil {
		return nil, errors.New("the app cannot read the seed")
	}
	was := *p.person
	p.person.seed, p.person.app.Digits, p.person.app.Algorithm = seed, key.Digits(), key.Algorithm()
	switch q.Word {
	case "ok":
		code, err := p.code(p.cast.Clock.Now())
		p.person.used, p.person.last = p.cast.Clock.Now().Unix()/period, code
		return reply(map[string]string{"code": code, "name": p.person.login + "'s app"}, err)
	case "wrong":
		code, err := p.wrongCode()
		*p.person = was
		return reply(map[string]string{"code": code}, err)
	}
	*p.person = was
	return nil, unknownWord("totp_enrolment", q.Word, "ok, wrong")
}

// changePassword knows ok: a password that the person did not have before; wrong:
// without knowing the current one, or the current one again; common, short; used:
// the one before.
func (p *play) changePassword(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		CurrentRequired bool `json:"currentRequired"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	who := p.person
	out := map[string]string{"new": fmt.Sprintf("%s, and %d valleys", password, len(who.before)+1)}
	if prompt.CurrentRequired {
		out["current"] = who.password
	}
	switch {
	case q.Word == "ok":
		who.before, who.password = append(who.before, who.password), out["new"]
	case q.Word == "wrong" && prompt.CurrentRequired:
		out["current"] = "not " + who.password
	case q.Word == "wrong":
		out["new"] = who.password
	case q.Word == "common":
		out["new"] = "password-password"
	case q.Word == "short":
		out["new"] = "hvzrb"
	case q.Word == "used" && len(who.before) > 0:
		out["new"] = who.before[len(who.before)-1]
	default:
		return nil, unknownWord("password_change", q.Word, "ok, wrong, common, short, and used once there was another")
	}
	return reply(out, nil)
}

// bindSent makes an authenticator that codes are sent to, or that is codes to keep.
func (p *play) bindSent(who *person, typ string) ([]byte, error) {
	switch typ {
	case account.TypeEmail:
		who.reached[typ] = addressOf(who.login)
		return json.Marshal(account.EmailData{Address: who.reached[typ]})
	case account.TypePhone:
		who.reached[typ] = telephone
		return json.Marshal(account.PhoneData{Number: telephone})
	case account.TypeHOTP:
		seed, err := account.NewSeed(rand.Reader)
		if err != nil {
			return nil, err
		}
		who.token = token{seed: seed, digits: otp.DigitsSix}
		sealed, err := account.SealSeed(p.stage.sealer, who.login, who.login+"-"+typ, seed)
		if err != nil {
			return nil, err
		}
		return json.Marshal(account.HOTPData{Seed: sealed, Digits: 6})
	case account.TypeRecovery:
		who.kept = account.NewRecoveryCodes()
		data, err := account.NewRecoveryData(p.stage.decoy, who.login, who.login+"-"+typ, who.kept)
		if err != nil {
			return nil, err
		}
		return json.Marshal(data)
	}
	return nil, fmt.Errorf("has: nobody can be given %q; known: password, pin, totp, hotp, email, phone, passkey, recovery, activation, device_pin, ldap_password; for a phone write device: bound", typ)
}

// keep knows ok: the person keeps the codes and types the last of them; wrong.
func (p *play) keep(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		Codes []string `json:"codes"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	switch {
	case q.Word == "wrong":
		return reply(map[string]string{"code": account.NewRecoveryCodes()[0]}, nil)
	case q.Word != "ok" || len(prompt.Codes) == 0:
		return nil, unknownWord("recovery_code_setup", q.Word, "ok, wrong")
	}
	p.person.kept, p.person.spent = prompt.Codes, 0
	return reply(map[string]string{"code": prompt.Codes[len(prompt.Codes)-1]}, nil)
}

// useKept knows ok: the next of the codes; wrong; used: the last one again.
func (p *play) useKept(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	who := p.person
	switch {
	case q.Word == "wrong":
		return reply(map[string]string{"code": account.NewRecoveryCodes()[0]}, nil)
	case q.Word == "used" && who.spent > 0:
		return reply(map[string]string{"code": who.kept[who.spent-1]}, nil)
	case q.Word != "ok":
		return nil, unknownWord("recovery_code", q.Word, "ok, wrong, and used once there was one")
	case who.spent == len(who.kept):
		return nil, p.lacks("recovery")
	}
	who.spent++
	return reply(map[string]string{"code": who.kept[who.spent-1]}, nil)
}
