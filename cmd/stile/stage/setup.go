package stage

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"

	"github.com/pquerna/otp"

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
