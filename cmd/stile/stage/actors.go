package stage

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// actors answer the built-in step types with what the person and the phone have.
func (p *play) actors() map[string]scenario.Actor {
	browser := p.newBrowser() // one: the person is known at the provider to both
	return map[string]scenario.Actor{
		"identify":              p.typeName,
		"password":              p.typePassword,
		"pin":                   p.typePIN,
		"totp":                  p.typeCode,
		"sms_code":              p.readCode("sms_code", account.TypePhone),
		"totp_enrolment":        p.scanSeed,
		"consent":               agree("consent"),
		"terms":                 agree("terms"),
		"hotp":                  p.pressToken,
		"hotp_enrolment":        p.programToken,
		"activation_code":       p.openLetter,
		"email_code":            p.readCode("email_code", account.TypeEmail),
		"magic_link":            p.followLink,
		"recovery_code":         p.useKept,
		"recovery_code_setup":   p.keep,
		"device_enrolment":      p.enrol,
		"transaction_approval":  p.approve(),
		"device_biometric":      p.sign("device_biometric", p.byBiometrics),
		"authenticator_removal": p.remove,
		"passkey":               p.usePasskey,
		"passkey_enrolment":     p.makePasskey,
		"sso":                   browser,
		"account_link":          browser,
		"external_token":        p.signOnNatively(),
		"pin_enrolment":         p.choosePIN,
		"device_pin_enrolment":  p.enrolPIN,
		"device_pin":            p.sign("device_pin", p.byPIN),
		"password_change":       p.changePassword,
		"ldap_password":         p.typeEntry,
	}
}

// agree knows ok, and denied.
func agree(step string) scenario.Actor {
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		if q.Word != "ok" && q.Word != "denied" {
			return nil, unknownWord(step, q.Word, "ok, denied")
		}
		return json.Marshal(map[string]bool{"accept": q.Word == "ok"})
	}
}

func reply(members any, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func (p *play) lacks(typ string) error {
	return fmt.Errorf("%s has no %s; write given: { has: [%s] }", p.person.login, typ, typ)
}

// typeName knows ok, and unknown: a name that nobody has.
func (p *play) typeName(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	switch q.Word {
	case "ok":
		return reply(map[string]string{"username": p.person.login}, nil)
	case "unknown":
		return reply(map[string]string{"username": "nobody"}, nil)
	}
	return nil, unknownWord("identify", q.Word, "ok, unknown")
}

// typePassword knows ok, wrong, unknown: a user name that nobody has; and old: the
// password before it was changed.
func (p *play) typePassword(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		IdentifierRequired bool `json:"identifierRequired"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	out := map[string]string{"password": p.person.password}
	if prompt.IdentifierRequired {
		out["username"] = p.person.login
	}
	switch q.Word {
	case "ok":
		if p.person.password == "" {
			return nil, p.lacks("password")
		}
	case "wrong":
		out["password"] = "not " + password
	case "unknown":
		out["username"], out["password"] = "nobody", password
	case "old":
		if len(p.person.before) == 0 {
			return nil, errors.New("password cannot be answered old: it was never changed")
		}
		out["password"] = p.person.before[len(p.person.before)-1]
	default:
		return nil, unknownWord("password", q.Word, "ok, wrong, unknown, old")
	}
	return reply(out, nil)
}

// typePIN knows ok and wrong.
func (p *play) typePIN(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	switch {
	case q.Word == "wrong":
		return reply(map[string]string{"pin": "31415926"}, nil)
	case q.Word != "ok":
		return nil, unknownWord("pin", q.Word, "ok, wrong")
	case p.person.pin == "":
		return nil, p.lacks("pin")
	}
	return reply(map[string]string{"pin": p.person.pin}, nil)
}

// choosePIN knows ok, and easy: one that is easy to guess.
func (p *play) choosePIN(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	switch q.Word {
	case "ok":
		p.person.pin = "83710426"
		return reply(map[string]string{"pin": p.person.pin}, nil)
	case "easy":
		return reply(map[string]string{"pin": "24121987"}, nil)
	}
	return nil, unknownWord("pin_enrolment", q.Word, "ok, easy")
}

const period = 30 // seconds that a one-time code is shown

// typeCode knows ok, wrong, and used: the last code once more. Whoever has used
// the code that their app shows waits for the next one.
func (p *play) typeCode(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	switch {
	case q.Word == "wrong":
		code, err := p.wrongCode()
		return reply(map[string]string{"code": code}, err)
	case q.Word == "used" && p.person.last != "":
		return reply(map[string]string{"code": p.person.last}, nil)
	case q.Word != "ok":
		return nil, unknownWord("totp", q.Word, "ok, wrong, and used once there was one")
	case p.person.seed == nil:
		return nil, p.lacks("totp")
	}
	now := p.cast.Clock.Now()
	if now.Unix()/period <= p.person.used {
		next := time.Unix((p.person.used+1)*period, 0)
		p.cast.Clock.Pass(next.Sub(now))
		now = next
	}
	code, err := p.code(now)
	p.person.used, p.person.last = now.Unix()/period, code
	return reply(map[string]string{"code": code}, err)
}

func (p *play) code(at time.Time) (string, error) {
	return totp.GenerateCodeCustom(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(p.person.seed), at, p.person.app)
}

// wrongCode is a code that is right at no time near now.
func (p *play) wrongCode() (string, error) {
	var right []string
	if p.person.seed != nil {
		for step := -2; step <= 2; step++ {
			code, err := p.code(p.cast.Clock.Now().Add(time.Duration(step) * period * time.Second))
			if err != nil {
				return "", err
			}
			right = append(right, code)
		}
	}
	for i := range int32(10) {
		if code := p.person.app.Digits.Format(i); !slices.Contains(right, code) {
			return code, nil
		}
	}
	return "", errors.New("there is no wrong code")
}

type signOn struct {
	Provider   string `json:"provider"`
	RequestURI string `json:"authorizationRequestUri"`
	Redirect   string `json:"redirectUri"`
	Mode       string `json:"responseMode"`
}

// form is the answer of an app whose server was posted a form.
func form(query string, err error) (json.RawMessage, error) {
	values, perr := url.ParseQuery(query)
	fields := map[string]string{}
	for name := range values {
		fields[name] = values.Get(name)
	}
	return reply(map[string]any{"form": fields}, errors.Join(err, perr))
}

// newBrowser is the actor of sso and account_link: the person's browser, which keeps its cookies.
// It knows ok, wrong (the answer to another request), denied (the person
// declines at the provider), cancelled (the person closes the browser), again
// (the app asks for a fresh request) and, once there was one, replayed (the last
// right answer again).
func (p *play) newBrowser() scenario.Actor {
	var redirect string
	var last json.RawMessage
	var b *browser.Browser
	return func(ctx context.Context, q scenario.Prompt) (json.RawMessage, error) {
		var prompt signOn
		if err := json.Unmarshal(q.Data, &prompt); err != nil {
			return nil, err
		}
		redirect = prompt.Redirect
		if b == nil || q.Word == "denied" { // who has agreed before is not asked again in the same browser
			var err error
			b, err = browser.New(browser.Config{
				Transport: p.outside,
				Claimed:   func(u *url.URL) bool { return addressed(u, redirect) },
			})
			if err != nil {
				return nil, err
			}
		}
		switch {
		case q.Word == "ok", q.Word == "wrong", q.Word == "denied":
		case q.Word == "cancelled", q.Word == "again":
			return reply(map[string]bool{q.Word: true}, nil)
		case q.Word == "replayed" && last != nil:
			return last, nil
		default:
			return nil, unknownWord("sso", q.Word, "ok, wrong, denied, cancelled, again, and replayed once there was one")
		}
		query, err := p.visit(ctx, b, prompt, q.Word == "denied")
		if q.Word == "wrong" {
			values, perr := url.ParseQuery(query)
			values.Set("state", "another")
			query, err = values.Encode(), errors.Join(err, perr)
		}
		answer, err := posted(prompt.Mode, query, err)
		if q.Word == "ok" {
			last = answer
		}
		return answer, err
	}
}

// posted is the answer of an app to which the browser has come back.
func posted(mode, query string, err error) (json.RawMessage, error) {
	if mode == "form_post" {
		return form(query, err)
	}
	return reply(map[string]string{"queryString": query}, err)
}

func addressed(u *url.URL, redirect string) bool {
	r, err := url.Parse(redirect)
	return err == nil && u.Scheme == r.Scheme && u.Host == r.Host && u.Path == r.Path
}

// visit signs the person on and returns the query of the redirect. A provider
// that is down is so for the server: the browser still gets through.
func (p *play) visit(ctx context.Context, b *browser.Browser, prompt signOn, deny bool) (string, error) {
	name := prompt.Provider
	if p.outside.down[name] {
		p.outside.running[name].Up()
		defer p.outside.running[name].Down()
	}
	page, err := b.Open(ctx, prompt.RequestURI)
	for range 4 {
		switch {
		case err != nil:
			return "", err
		case page.Posted != nil && page.Handed != nil:
			return page.Posted.Encode(), nil
		case page.Handed != nil && prompt.Mode == "fragment":
			return page.Handed.EscapedFragment(), nil
		case page.Handed != nil:
			return page.Handed.RawQuery, nil
		case page.Status != http.StatusOK:
			return "", fmt.Errorf("the provider shows an error: %d", page.Status)
		}
		if _, login := page.Form("password"); login == nil {
			page, err = page.Submit(ctx, "Sign in", map[string]string{"username": p.outside.people[name], "password": password})
			continue
		}
		if _, posts := page.Form("state"); posts == nil { // a script would send it
			page, err = page.Submit(ctx, "Continue", nil)
			continue
		}
		button := "Allow"
		if deny {
			button = "Deny"
		}
		page, err = page.Submit(ctx, button, nil)
	}
	return "", errors.New("the provider sends the browser around")
}
