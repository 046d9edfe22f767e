package tour

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// chapters are all authenticators, in the order in which they are shown.
func chapters() []chapter {
	know := map[string]answer{"PASSWORD_REQUIRED": typesPassword}
	with := func(more map[string]answer) map[string]answer {
		all := map[string]answer{}
		for _, m := range []map[string]answer{know, more} {
			for code, a := range m {
				all[code] = a
			}
		}
		return all
	}
	added := []string{"authenticator_added"}
	touch := []string{"mfa", "pop", "user"}
	return slices.Concat([]chapter{
		{name: "password", what: "what a person knows, and changes", told: []string{"password_changed"}, runs: []outing{
			{what: "she types it", flow: "password", answers: know, acr: "aal1", amr: []string{"pwd"}},
			{what: "she changes it", flow: "new-password", answers: with(map[string]answer{"PASSWORD_CHANGE_REQUIRED": changesPassword}), acr: "aal1", amr: []string{"pwd"}},
			{what: "the new one lets her in", flow: "password", answers: know, acr: "aal1", amr: []string{"pwd"}},
		}},
		{name: "totp", what: "an authenticator app", told: added, runs: []outing{
			{what: "she scans the code", flow: "new-totp", answers: with(map[string]answer{"TOTP_ENROLMENT_REQUIRED": scans}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she types what the app shows", flow: "totp", answers: with(map[string]answer{"OTP_REQUIRED": readsApp}), acr: "aal1", amr: []string{"mfa", "otp", "pwd"}},
		}},
		{name: "hotp", what: "a token with a button", told: added, runs: []outing{
			{what: "it is set up", flow: "new-hotp", answers: with(map[string]answer{"HOTP_ENROLMENT_REQUIRED": sets}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she presses the button", flow: "hotp", answers: with(map[string]answer{"HOTP_REQUIRED": presses}), acr: "aal1", amr: []string{"mfa", "otp", "pwd"}},
		}},
		{name: "email_code", what: "a code by mail, to an address that was bound at the counter", runs: []outing{
			{what: "she types it", flow: "email-code", answers: with(map[string]answer{"EMAIL_CODE_REQUIRED": reads("email_code")}), acr: "aal1", amr: []string{"otp", "pwd", "urn:stile-auth:amr:email"}},
		}},
		byLink(with),
		{name: "sms_code", what: "a code by text message, to a number that was bound at the counter", runs: []outing{
			{what: "she types it", flow: "sms-code", answers: with(map[string]answer{"SMS_CODE_REQUIRED": reads("sms_code")}), acr: "aal1", amr: []string{"mca", "mfa", "pwd", "sms"}},
		}},
		{name: "recovery_code", what: "codes on paper", told: []string{"authenticator_added", "recovery_code_used"}, runs: []outing{
			{what: "she writes them down", flow: "new-recovery-codes", answers: with(map[string]answer{"RECOVERY_CODE_SETUP_REQUIRED": writesDown}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she uses one", flow: "recovery-code", answers: with(map[string]answer{"RECOVERY_CODE_REQUIRED": readsPaper}), acr: "aal1", amr: []string{"mfa", "otp", "pwd", "urn:stile-auth:amr:recovery"}},
		}},
		{name: "activation_code", what: "a code by letter, for who has nothing else", runs: []outing{
			{what: "she types it", flow: "activation-code", hinted: true, answers: map[string]answer{"ACTIVATION_CODE_REQUIRED": opensLetter}, acr: "aal1", amr: []string{"otp", "urn:stile-auth:amr:activation"}},
		}},
		{name: "passkey", what: "a passkey, which says whose it is", told: added, runs: []outing{
			{what: "she makes one", flow: "new-passkey", answers: with(map[string]answer{"PASSKEY_ENROLMENT_REQUIRED": makesPasskey}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she uses it, and nothing else", flow: "passkey", answers: map[string]answer{"PASSKEY_REQUIRED": usesPasskey}, acr: "aal1", amr: touch},
		}},
	}, onHerPhone(know, added), []chapter{
		{name: "terms", what: "terms of use, once for each version, and something to read", runs: []outing{
			{what: "she accepts them", flow: "terms", answers: with(map[string]answer{"TERMS_REQUIRED": agrees}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she is not asked again", flow: "terms", answers: with(map[string]answer{"TERMS_REQUIRED": never}), acr: "aal1", amr: []string{"pwd"}},
		}},
		{name: "consent", what: "what an app may have", runs: []outing{
			{what: "she agrees", target: "planner", answers: with(map[string]answer{"CONSENT_REQUIRED": agrees}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she is not asked again", target: "planner", answers: with(map[string]answer{"CONSENT_REQUIRED": never}), acr: "aal1", amr: []string{"pwd"}},
		}},
	})
}

// onHerPhone is what a key of a bound phone signs.
func onHerPhone(know map[string]answer, added []string) []chapter {
	phone := outing{what: "she binds her phone", flow: "new-phone", answers: know, acr: "aal1", amr: []string{"pwd"}}
	signs := []string{"pop", "user"} // nobody vouches for a phone in software: that it has seen her is its word
	return []chapter{
		{name: "device_biometric", what: "her phone, by fingerprint or face", told: added, runs: []outing{
			phone,
			{what: "it has seen her, and signs", flow: "finger", hinted: true, acr: "aal1", amr: signs},
		}},
		{name: "device_pin", what: "her phone, by a PIN that never leaves it", told: append(added, added...), runs: []outing{
			phone,
			{what: "she sets a PIN on it", flow: "new-phone-pin", hinted: true, answers: map[string]answer{"DEVICE_PIN_ENROLMENT_REQUIRED": setsPIN}, acr: "aal1", amr: signs},
			{what: "the PIN opens its key, which signs", flow: "phone-pin", hinted: true, answers: map[string]answer{"DEVICE_PIN_REQUIRED": entersPIN}, acr: "aal1", amr: append([]string{"pin"}, signs...)},
		}},
		{name: "pin", what: "a PIN that the server knows, on her phone", told: append(added, added...), runs: []outing{
			phone,
			{what: "she sets it", flow: "new-pin", hinted: true, answers: map[string]answer{"PIN_ENROLMENT_REQUIRED": typesPIN}, acr: "aal1", amr: signs},
			{what: "she types it", flow: "pin", hinted: true, answers: map[string]answer{"PIN_REQUIRED": typesPIN}, acr: "aal1", amr: append([]string{"mfa", "pwd"}, signs...)},
		}},
	}
}

// byLink is two runs: what opens the link decides what completes them.
func byLink(with func(map[string]answer) map[string]answer) chapter {
	mailed := []string{"otp", "pwd", "urn:stile-auth:amr:email"}
	return chapter{name: "magic_link", what: "a link by mail, to an address that was bound at the counter", runs: []outing{
		{what: "she opens it on her phone", flow: "magic-link", answers: with(map[string]answer{"MAGIC_LINK_REQUIRED": opensLink}), acr: "aal1", amr: mailed},
		{what: "she opens it elsewhere, and types what the page shows", flow: "magic-link", answers: with(map[string]answer{"MAGIC_LINK_REQUIRED": opensLinkElsewhere}), acr: "aal1", amr: mailed},
	}}
}

func typesPassword(p *person, data json.RawMessage) (map[string]any, error) {
	var d struct{ IdentifierRequired bool }
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	out := map[string]any{"password": p.password}
	if d.IdentifierRequired {
		out["username"] = p.login
	}
	return out, nil
}

func changesPassword(p *person, _ json.RawMessage) (map[string]any, error) {
	old := p.password
	p.password = "four slow brown rivers"
	return map[string]any{"current": old, "new": p.password}, nil
}

func scans(p *person, data json.RawMessage) (map[string]any, error) {
	if err := p.app.setUp(data); err != nil {
		return nil, err
	}
	return readsApp(p, nil)
}

// readsApp takes a code that was not typed yet: each is good once.
func readsApp(p *person, _ json.RawMessage) (map[string]any, error) {
	code, err := p.app.atTime(p.now())
	return map[string]any{"code": code}, err
}

func sets(p *person, data json.RawMessage) (map[string]any, error) {
	if err := p.app.setUp(data); err != nil {
		return nil, err
	}
	return presses(p, nil)
}

func presses(p *person, _ json.RawMessage) (map[string]any, error) {
	return map[string]any{"code": p.app.press()}, nil
}

func reads(template string) answer {
	return func(p *person, _ json.RawMessage) (map[string]any, error) {
		code, err := p.read(template)
		return map[string]any{"code": code}, err
	}
}

// opensLink is what an app does that the phone gives links of the server to.
func opensLink(p *person, _ json.RawMessage) (map[string]any, error) {
	link, err := p.link()
	return map[string]any{"token": link[strings.LastIndexByte(link, '/')+1:]}, err
}

// opensLinkElsewhere confirms it in a browser; the app is told by the next view, if it did not wait.
func opensLinkElsewhere(p *person, data json.RawMessage) (map[string]any, error) {
	var d struct{ Confirmed bool }
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	if !d.Confirmed {
		link, err := p.link()
		if err == nil {
			p.shown, err = confirm(link)
		}
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"code": p.shown}, nil
}

func writesDown(p *person, data json.RawMessage) (map[string]any, error) {
	var d struct{ Codes []string }
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	if len(d.Codes) < 2 {
		return nil, errors.New("there are no codes")
	}
	p.paper = d.Codes
	return map[string]any{"code": p.paper[0]}, nil
}

func readsPaper(p *person, _ json.RawMessage) (map[string]any, error) {
	return map[string]any{"code": p.paper[1]}, nil
}

func opensLetter(p *person, _ json.RawMessage) (map[string]any, error) {
	return map[string]any{"code": p.letter}, nil
}

func makesPasskey(p *person, data json.RawMessage) (map[string]any, error) {
	made, err := p.keys.Create(data)
	return credential(made, err)
}

func usesPasskey(p *person, data json.RawMessage) (map[string]any, error) {
	signed, err := p.keys.Answer(data)
	return credential(signed, err)
}

// credential is the body of an answer.
func credential(from json.RawMessage, err error) (map[string]any, error) {
	var object map[string]any
	if err == nil {
		err = json.Unmarshal(from, &object)
	}
	return map[string]any{"credential": object}, err
}

const pin = "83710426"

func setsPIN(p *person, data json.RawMessage) (map[string]any, error) {
	prompt, err := promptOf(data)
	if err != nil {
		return nil, err
	}
	jws, err := p.phone.EnrolPIN(prompt, pin)
	return map[string]any{"jws": jws}, err
}

func entersPIN(p *person, data json.RawMessage) (map[string]any, error) {
	prompt, err := promptOf(data)
	if err != nil {
		return nil, err
	}
	p.phone.ConfirmPIN() // the run that bound it has completed
	jws, err := p.phone.AuthenticatePIN(prompt, clientID, pin)
	return map[string]any{"jws": jws}, err
}

func typesPIN(*person, json.RawMessage) (map[string]any, error) {
	return map[string]any{"pin": pin}, nil
}

func agrees(*person, json.RawMessage) (map[string]any, error) {
	return map[string]any{"accept": true}, nil
}

func never(*person, json.RawMessage) (map[string]any, error) {
	return nil, errors.New("this was agreed to, and is asked again")
}
