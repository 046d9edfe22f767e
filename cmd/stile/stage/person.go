package stage

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
)

// What everybody on the stage knows by heart.
const (
	password = "three quiet green hills"
	pin      = "27182846"

	telephone = "+41791234567"
)

// person is who a scenario is about, with what they know and have.
type person struct {
	login    string
	password string   // "" without one
	before   []string // passwords that it was before, the last one at the end
	pin      string
	seed     []byte            // of one-time codes; nil without
	app      totp.ValidateOpts // how the authenticator app makes them
	kept     []string          // recovery codes that were told last
	spent    int               // how many of them were used
	token    token             // what shows counted codes
	letter   []string          // activation codes, the first by letter, the second told on the telephone
	opened   bool              // the letter was used
	reached  map[string]string // where codes go, by type of authenticator
	used     int64             // the time step of the last code
	last     string            // the last code
}

// identity is what a provider calls somebody.
func identity(login string) string { return "external-" + login }

// admit makes the account that is given.
func (p *play) admit(ctx context.Context) (*person, error) {
	g := p.cast.Given
	login, err := account.Canonical(g.Account)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	now := p.cast.Clock.Now()
	who := &person{login: g.Account, reached: map[string]string{}, app: totp.ValidateOpts{Period: period, Digits: otp.DigitsSix}}
	a := account.Account{Subject: g.Account, Status: account.Active, Logins: []string{login}, Attributes: g.Attributes, Created: now}
	if g.Disabled {
		a.Status = account.Disabled
	}
	var auths []account.Authenticator
	var accepted []string
	for _, typ := range g.Has {
		if document, ok := strings.CutPrefix(typ, flowdefs.Accepted); ok {
			accepted = append(accepted, document)
			continue
		}
		if special, ok, err := p.special(who, typ, now); ok {
			if err != nil {
				return nil, err
			}
			for _, a := range special {
				a.Subject, a.Binding, a.Created = who.login, g.Level, now
				auths = append(auths, a)
			}
			continue
		}
		id, data, err := p.bound(ctx, who, typ)
		if err != nil {
			return nil, err
		}
		auths = append(auths, account.Authenticator{
			ID: id, Subject: a.Subject, Type: typ, Status: account.Active, Binding: g.Level, Data: data, Created: now,
		})
	}
	if g.Device != scenario.DeviceKey && g.Device != scenario.DeviceNone {
		phone, err := p.bindPhone(g.Device)
		if err != nil {
			return nil, err
		}
		phone.Subject, phone.Binding, phone.Created = a.Subject, g.Level, now
		auths = append(auths, phone)
	}
	err = p.store.Accounts().CreateAccount(ctx, a, auths, append(p.outside.links(a.Subject, now), p.entryLinks(a.Subject, now)...))
	for _, document := range accepted {
		given := account.Agreement{Subject: a.Subject, Kind: account.Terms, Name: document, Given: now}
		err = errors.Join(err, p.store.Accounts().Agree(ctx, given))
	}
	return who, err
}

// bound makes an authenticator, and says by what id it is kept.
func (p *play) bound(ctx context.Context, who *person, typ string) (id string, data []byte, err error) {
	switch typ {
	case account.TypePasskey:
		return p.keys.bindPasskey(who.login)
	case account.TypeLDAP:
		return p.bindEntry(who.login)
	}
	data, err = p.bind(ctx, who, typ)
	return who.login + "-" + typ, data, err
}

// bind makes an authenticator and tells the person its secret.
func (p *play) bind(ctx context.Context, who *person, typ string) ([]byte, error) {
	switch typ {
	case account.TypePassword:
		who.password = password
		hash, err := p.stage.hasher.Hash(ctx, password)
		if err != nil {
			return nil, err
		}
		return json.Marshal(account.PasswordData{Hash: hash, MustChange: p.cast.Given.MustChange})
	case account.TypePIN:
		who.pin = pin
		hash, err := p.stage.hasher.Hash(ctx, pin)
		if err != nil {
			return nil, err
		}
		return json.Marshal(account.PINData{Hash: hash, Digits: len(pin)})
	case account.TypeTOTP:
		seed, err := account.NewSeed(rand.Reader)
		if err != nil {
			return nil, err
		}
		who.seed = seed
		sealed, err := account.SealSeed(p.stage.sealer, who.login, who.login+"-"+typ, seed)
		if err != nil {
			return nil, err
		}
		return json.Marshal(account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30})
	}
	return p.bindSent(who, typ)
}

// addressOf is the e-mail address of who has that login.
func addressOf(login string) string {
	if address, err := account.ParseEmail(login); err == nil {
		return address
	}
	return login + "@example.test"
}

// special makes the authenticators of types that are more than one, or that the
// phone holds; false: the type is none of them.
func (p *play) special(who *person, typ string, now time.Time) ([]account.Authenticator, bool, error) {
	switch typ {
	case account.TypeDevicePIN:
		key, err := p.bindPhonePIN()
		return []account.Authenticator{key}, true, err
	case account.TypeActivation:
		codes, err := p.bindLetter(who, now)
		return codes, true, err
	}
	return nil, false, nil
}

// boundKey is the authenticator of the key that a binding was signed with.
func (p *play) boundKey(typ, id, signed string, d account.DeviceData) (account.Authenticator, error) {
	raw, _, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return account.Authenticator{}, err
	}
	var header struct {
		JWK json.RawMessage `json:"jwk"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return account.Authenticator{}, err
	}
	d.JWK = header.JWK
	data, err := json.Marshal(d)
	return account.Authenticator{
		ID: id, Type: typ, Name: "phone", Status: account.Active, Key: p.device.Thumbprint(), Data: data,
	}, err
}
