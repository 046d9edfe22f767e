package stage

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
)

// token shows counted codes.
type token struct {
	seed    []byte // nil: there is none
	digits  otp.Digits
	pressed uint64 // how often
}

// show is the code of a counter.
func (k *token) show(counter uint64) (string, error) {
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.seed)
	return hotp.GenerateCodeCustom(secret, counter, hotp.ValidateOpts{Digits: k.digits, Algorithm: otp.AlgorithmSHA1})
}

// press shows the next code.
func (k *token) press() (string, error) {
	k.pressed++
	return k.show(k.pressed - 1)
}

// pressToken knows ok, wrong (a code from far ahead), used (the last one again),
// ahead (pressed thirty times too often) and resync (two codes in a row).
func (p *play) pressToken(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	k := &p.person.token
	switch {
	case q.Word == "wrong" && k.seed == nil:
		return reply(map[string]string{"code": "000000"}, nil)
	case k.seed == nil:
		return nil, p.lacks(account.TypeHOTP)
	case q.Word == "wrong":
		code, err := k.show(k.pressed + 1000)
		return reply(map[string]string{"code": code}, err)
	case q.Word == "used" && k.pressed > 0:
		code, err := k.show(k.pressed - 1)
		return reply(map[string]string{"code": code}, err)
	case q.Word == "ahead":
		k.pressed += 30
	case q.Word == "resync":
		first, err1 := k.press()
		second, err2 := k.press()
		return reply(map[string]string{"code": first, "next": second}, errors.Join(err1, err2))
	case q.Word != "ok":
		return nil, unknownWord("hotp", q.Word, "ok, wrong, ahead, resync, and used once there was one")
	}
	code, err := k.press()
	return reply(map[string]string{"code": code}, err)
}

// programToken knows ok: the token takes the seed and shows its first code; wrong.
func (p *play) programToken(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		Secret string `json:"secret"`
		Digits int    `json:"digits"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(prompt.Secret)
	if err != nil {
		return nil, errors.New("the token cannot read the seed")
	}
	fresh := token{seed: seed, digits: otp.Digits(prompt.Digits)}
	switch q.Word {
	case "ok":
		p.person.token = fresh
		code, err := p.person.token.press()
		return reply(map[string]string{"code": code, "name": p.person.login + "'s token"}, err)
	case "wrong":
		code, err := fresh.show(1000)
		return reply(map[string]string{"code": code}, err)
	}
	return nil, unknownWord("hotp_enrolment", q.Word, "ok, wrong")
}

// lifeOfLetter is how long activation codes are good that are given.
const lifeOfLetter = 14 * 24 * time.Hour

// bindLetter issues two codes, one by letter and one by telephone.
func (p *play) bindLetter(who *person, now time.Time) ([]account.Authenticator, error) {
	var out []account.Authenticator
	for _, channel := range []string{account.ByLetter, account.ByTelephone} {
		code, id := account.NewActivationCode(), who.login+"-activation-"+channel
		d, err := account.NewActivationData(p.stage.decoy, who.login, id, code)
		if err != nil {
			return nil, err
		}
		d.Channel, d.Expires = channel, now.Add(lifeOfLetter)
		data, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		who.letter = append(who.letter, code)
		out = append(out, account.Authenticator{ID: id, Type: account.TypeActivation, Status: account.Active, Data: data})
	}
	return out, nil
}

// openLetter knows ok (the code of the letter and, if two are asked for, that of
// the telephone), wrong, same (the letter's code twice), and used: once more.
func (p *play) openLetter(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		Codes int `json:"codes"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	who := p.person
	codes := who.letter
	switch {
	case q.Word == "wrong":
		codes = []string{account.NewActivationCode(), account.NewActivationCode()}
	case codes == nil:
		return nil, p.lacks(account.TypeActivation)
	case q.Word == "same":
		codes = []string{codes[0], codes[0]}
	case q.Word == "ok", q.Word == "used" && who.opened:
		who.opened = true
	default:
		return nil, unknownWord("activation_code", q.Word, "ok, wrong, same, and used once there was one")
	}
	out := map[string]string{"code": codes[0]}
	if prompt.Codes == 2 {
		out["second"] = codes[1]
	}
	return reply(out, nil)
}
