package tour

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/makers"
)

// chapters are all authenticators, in the order in which they are shown.
func chapters() []chapter {
	return slices.Concat(typed(), keys(), phones(), attested(), agreements())
}

// know answers the first step of most flows, and with what else is asked.
func know(more ...map[string]answer) map[string]answer {
	all := map[string]answer{"PASSWORD_REQUIRED": typesPassword, "LDAP_PASSWORD_REQUIRED": typesPassword}
	for _, m := range more {
		maps.Copy(all, m)
	}
	return all
}

func added() []string { return []string{"authenticator_added"} }

// typed are what people know, read or are sent.
func typed() []chapter {
	return []chapter{
		{name: "password", what: "what a person knows, and changes", told: []string{"password_changed"}, runs: []outing{
			{what: "she types it", flow: "password", answers: know(), acr: "aal1", amr: []string{"pwd"}},
			{what: "she changes it", flow: "new-password", answers: know(map[string]answer{"PASSWORD_CHANGE_REQUIRED": changesPassword}), acr: "aal1", amr: []string{"pwd"}},
			{what: "the new one lets her in", flow: "password", answers: know(), acr: "aal1", amr: []string{"pwd"}},
		}},
		{name: "totp", what: "an authenticator app", told: added(), runs: []outing{
			{what: "she scans the code", flow: "new-totp", answers: know(map[string]answer{"TOTP_ENROLMENT_REQUIRED": scans}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she types what the app shows", flow: "totp", answers: know(map[string]answer{"OTP_REQUIRED": readsApp}), acr: "aal1", amr: []string{"mfa", "otp", "pwd"}},
		}},
		{name: "hotp", what: "a token with a button", told: added(), runs: []outing{
			{what: "it is set up", flow: "new-hotp", answers: know(map[string]answer{"HOTP_ENROLMENT_REQUIRED": sets}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she presses the button", flow: "hotp", answers: know(map[string]answer{"HOTP_REQUIRED": presses}), acr: "aal1", amr: []string{"mfa", "otp", "pwd"}},
		}},
		{name: "email_code", what: "a code by mail, to an address that was bound at the counter", runs: []outing{
			{what: "she types it", flow: "email-code", answers: know(map[string]answer{"EMAIL_CODE_REQUIRED": reads("email_code")}), acr: "aal1", amr: []string{"otp", "pwd", "urn:stile-auth:amr:email"}},
		}},
		byLink(),
		{name: "sms_code", what: "a code by text message, to a number that was bound at the counter", runs: []outing{
			{what: "she types it", flow: "sms-code", answers: know(map[string]answer{"SMS_CODE_REQUIRED": reads("sms_code")}), acr: "aal1", amr: []string{"mca", "mfa", "pwd", "sms"}},
		}},
		{name: "recovery_code", what: "codes on paper", told: []string{"authenticator_added", "recovery_code_used"}, runs: []outing{
			{what: "she writes them down", flow: "new-recovery-codes", answers: know(map[string]answer{"RECOVERY_CODE_SETUP_REQUIRED": writesDown}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she uses one", flow: "recovery-code", answers: know(map[string]answer{"RECOVERY_CODE_REQUIRED": readsPaper}), acr: "aal1", amr: []string{"mfa", "otp", "pwd", "urn:stile-auth:amr:recovery"}},
		}},
		{name: "activation_code", what: "a code by letter, for who has nothing else", runs: []outing{
			{what: "she types it", flow: "activation-code", hinted: true, answers: map[string]answer{"ACTIVATION_CODE_REQUIRED": opensLetter}, acr: "aal1", amr: []string{"otp", "urn:stile-auth:amr:activation"}},
		}},
		{name: "ldap_password", what: "the password of the directory, which makes her account", runs: []outing{
			{what: "she mistypes it", flow: "directory", answers: know(map[string]answer{"LDAP_PASSWORD_REQUIRED": mistypesPassword}), refused: "wrong_answer"},
			{what: "she types it, and has an account", flow: "directory", answers: know(), acr: "aal1", amr: []string{"pwd"}},
			{what: "she comes again", flow: "directory", answers: know(), acr: "aal1", amr: []string{"pwd"}},
		}},
	}
}

// keys are what signs by itself.
func keys() []chapter {
	touch := []string{"mfa", "pop", "user"}
	return []chapter{
		{name: "passkey", what: "a passkey, which says whose it is", told: added(), runs: []outing{
			{what: "she makes one", flow: "new-passkey", answers: know(map[string]answer{"PASSKEY_ENROLMENT_REQUIRED": makesPasskey}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she uses it, and nothing else", flow: "passkey", answers: map[string]answer{"PASSKEY_REQUIRED": usesPasskey}, acr: "aal1", amr: touch},
		}},
	}
}

// phones are keys on her phone, and what they approve.
func phones() []chapter {
	phone := outing{what: "she binds her phone", flow: "new-phone", answers: know(), acr: "aal1", amr: []string{"pwd"}}
	signs := []string{"pop", "user"} // nobody vouches for a phone in software: that it has seen her is its word
	pay := map[string]string{"amount": "CHF 120.00", "payee": "Green Grocer"}
	return []chapter{
		{name: "device_biometric", what: "her phone, by fingerprint or face", told: added(), runs: []outing{
			phone,
			{what: "it has seen her, and signs", flow: "finger", hinted: true, acr: "aal1", amr: signs},
		}},
		{name: "device_pin", what: "her phone, by a PIN that never leaves it", told: append(added(), added()...), runs: []outing{
			phone,
			{what: "she sets a PIN on it", flow: "new-phone-pin", hinted: true, answers: map[string]answer{"DEVICE_PIN_ENROLMENT_REQUIRED": setsPIN}, acr: "aal1", amr: signs},
			{what: "the PIN opens its key, which signs", flow: "phone-pin", hinted: true, answers: map[string]answer{"DEVICE_PIN_REQUIRED": entersPIN}, acr: "aal1", amr: append([]string{"pin"}, signs...)},
		}},
		{name: "pin", what: "a PIN that the server knows, on her phone", told: append(added(), added()...), runs: []outing{
			phone,
			{what: "she sets it", flow: "new-pin", hinted: true, answers: map[string]answer{"PIN_ENROLMENT_REQUIRED": typesPIN}, acr: "aal1", amr: signs},
			{what: "she types it", flow: "pin", hinted: true, answers: map[string]answer{"PIN_REQUIRED": typesPIN}, acr: "aal1", amr: append([]string{"mfa", "pwd"}, signs...)},
		}},
		{name: "transaction_approval", what: "a payment, which her phone shows and signs", told: added(), runs: []outing{
			phone,
			{what: "the text was altered on its way", flow: "pay", approve: pay, answers: know(map[string]answer{"TRANSACTION_APPROVAL_REQUIRED": signsAltered}), refused: "wrong_answer"},
			{what: "she reads it, and approves", target: "giro", approve: pay, answers: know(), acr: "aal1", amr: append([]string{"mfa", "pwd"}, signs...)},
		}},
		{name: "authenticator_removal", what: "her phone is lost", told: []string{"authenticator_added", "authenticator_removed"}, runs: []outing{
			phone,
			{what: "it signs", flow: "finger", hinted: true, acr: "aal1", amr: signs},
			{what: "she has it removed", flow: "lost-phone", answers: know(map[string]answer{"AUTHENTICATOR_REMOVAL_REQUIRED": removes}), acr: "aal1", amr: []string{"pwd"}},
			{what: "whoever found it comes with it", flow: "finger", hinted: true, refused: "device_required"},
		}},
	}
}

// attested are phones whose makers vouch for the key.
func attested() []chapter {
	binds := func(says answer) map[string]answer { return know(map[string]answer{"DEVICE_ENROLMENT_REQUIRED": says}) }
	signs := []string{"hwk", "mfa", "user"}
	return []chapter{
		{name: "android_key_attestation", what: "a phone with Android, whose key is in hardware", told: added(), runs: []outing{
			{what: "an emulator comes", flow: "new-attested-phone", answers: binds(android(makers.Emulator)), refused: "wrong_answer"},
			{what: "she binds her phone", flow: "new-attested-phone", answers: binds(android(makers.Good)), acr: "aal1", amr: []string{"pwd"}},
			{what: "it has seen her, and signs", flow: "attested-finger", hinted: true, acr: "aal1", amr: signs},
		}},
		{name: "app_attest", what: "an iPhone, whose app Apple vouches for", told: added(), runs: []outing{
			{what: "she binds her phone", flow: "new-attested-phone", answers: binds(iphone), acr: "aal1", amr: []string{"pwd"}},
			{what: "another app signs", flow: "attested-finger", hinted: true, refused: "wrong_answer"},
			{what: "it has seen her, and signs", flow: "attested-finger", hinted: true, answers: map[string]answer{"BIOMETRIC_ATTESTATION_REQUIRED": asserts}, acr: "aal1", amr: signs},
		}},
	}
}

// agreements are what she says yes to.
func agreements() []chapter {
	return []chapter{
		{name: "terms", what: "terms of use, once for each version, and something to read", runs: []outing{
			{what: "she accepts them", flow: "terms", answers: know(map[string]answer{"TERMS_REQUIRED": agrees}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she is not asked again", flow: "terms", answers: know(map[string]answer{"TERMS_REQUIRED": never}), acr: "aal1", amr: []string{"pwd"}},
		}},
		{name: "consent", what: "what an app may have", runs: []outing{
			{what: "she agrees", target: "planner", answers: know(map[string]answer{"CONSENT_REQUIRED": agrees}), acr: "aal1", amr: []string{"pwd"}},
			{what: "she is not asked again", target: "planner", answers: know(map[string]answer{"CONSENT_REQUIRED": never}), acr: "aal1", amr: []string{"pwd"}},
		}},
	}
}

// byLink is two runs: what opens the link decides what completes them.
func byLink() chapter {
	mailed := []string{"otp", "pwd", "urn:stile-auth:amr:email"}
	return chapter{name: "magic_link", what: "a link by mail, to an address that was bound at the counter", runs: []outing{
		{what: "she opens it on her phone", flow: "magic-link", answers: know(map[string]answer{"MAGIC_LINK_REQUIRED": opensLink}), acr: "aal1", amr: mailed},
		{what: "she opens it elsewhere, and types what the page shows", flow: "magic-link", answers: know(map[string]answer{"MAGIC_LINK_REQUIRED": opensLinkElsewhere}), acr: "aal1", amr: mailed},
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

func mistypesPassword(p *person, data json.RawMessage) (map[string]any, error) {
	out, err := typesPassword(p, data)
	if err == nil {
		out["password"] = "not " + p.password
	}
	return out, err
}

// signsAltered is a phone that shows, and signs, another amount than the server wrote.
func signsAltered(p *person, data json.RawMessage) (map[string]any, error) {
	var shown app.Shown
	prompt, err := promptOf(data)
	if err := errors.Join(err, json.Unmarshal(data, &shown)); err != nil {
		return nil, err
	}
	shown.Arguments["amount"] = "CHF 1.20"
	shown.Text = "CHF 1.20 to " + shown.Arguments["payee"]
	if shown, err = shown.Rehash(); err != nil {
		return nil, err
	}
	jws, err := p.phone.Approve(prompt, shown, clientID)
	return map[string]any{"jws": jws}, err
}

func removes(_ *person, data json.RawMessage) (map[string]any, error) {
	var d struct {
		Authenticators []struct{ ID, Type string }
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	for _, a := range d.Authenticators {
		if a.Type == "device" {
			return map[string]any{"action": "remove", "authenticator": a.ID}, nil
		}
	}
	return nil, errors.New("no phone is listed")
}

// android binds a phone of that kind.
func android(phone makers.Phone) answer {
	return func(p *person, data json.RawMessage) (map[string]any, error) {
		return p.binds(data, func(challenge, jws string) (any, error) { return p.makers.Android(challenge, jws, phone) })
	}
}

// iphone binds an iPhone.
func iphone(p *person, data json.RawMessage) (_ map[string]any, err error) {
	if p.iphone, err = p.makers.IPhone(); err != nil {
		return nil, err
	}
	return p.binds(data, p.iphone.Says)
}

// binds signs with a new key, and adds what the phone's maker says of it.
func (p *person) binds(data json.RawMessage, says func(challenge, jws string) (any, error)) (map[string]any, error) {
	prompt, err := promptOf(data)
	if err != nil {
		return nil, err
	}
	jws, err := p.phone.Enrol(prompt)
	if err != nil {
		return nil, err
	}
	statement, err := says(prompt.Challenge, jws)
	return map[string]any{"jws": jws, "attestation": statement}, err
}

// asserts signs, with the word of the app.
func asserts(p *person, data json.RawMessage) (map[string]any, error) {
	prompt, err := promptOf(data)
	if err != nil {
		return nil, err
	}
	jws, err := p.phone.Authenticate(prompt, clientID)
	if err != nil {
		return nil, err
	}
	assertion, err := p.iphone.Assert(jws)
	return map[string]any{"jws": jws, "assertion": assertion}, err
}
