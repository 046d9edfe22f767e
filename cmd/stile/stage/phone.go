package stage

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
)

const otherChallenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func (p *play) phonePrompt(q scenario.Prompt) (app.Prompt, error) {
	var prompt app.Prompt
	if p.device == nil {
		return prompt, errors.New("there is no phone: device: none is given")
	}
	return prompt, json.Unmarshal(q.Data, &prompt)
}

// enrol knows ok, which attests the key as Android does if that is asked for, and
// iphone; wrong, a signature over another challenge; unattested, which says nothing
// of the key; emulator and rooted, whose keys are in software, or in a phone that
// takes any software.
func (p *play) enrol(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	return p.bindKey(q, "device_enrolment", p.device.Enrol, p.device.Confirm)
}

// enrolPIN is the same for a key behind a PIN.
func (p *play) enrolPIN(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	make := func(prompt app.Prompt) (string, error) { return p.device.EnrolPIN(prompt, pin) }
	return p.bindKey(q, "device_pin_enrolment", make, p.device.ConfirmPIN)
}

func (p *play) bindKey(q scenario.Prompt, step string, make func(app.Prompt) (string, error), confirm func()) (json.RawMessage, error) {
	prompt, err := p.phonePrompt(q)
	if err != nil {
		return nil, err
	}
	says, known := p.statements()[q.Word]
	if !known {
		return nil, unknownWord(step, q.Word, "ok, iphone, wrong, unattested, emulator, rooted")
	}
	if q.Word == "wrong" {
		prompt.Challenge = otherChallenge
	}
	signed, err := make(prompt)
	if err != nil {
		return nil, err
	}
	if q.Word == "ok" || q.Word == "iphone" {
		confirm()
	}
	answer := map[string]any{"jws": signed, "name": p.person.login + "'s phone"}
	if p.makers != nil && prompt.Attestation != nil && says != nil {
		if answer["attestation"], err = says(prompt, signed); err != nil {
			return nil, err
		}
	}
	return json.Marshal(answer)
}

// byBiometrics and byPIN sign with a key of a phone.
func (p *play) byBiometrics(d *app.Device, prompt app.Prompt, client string) (string, error) {
	return d.Authenticate(prompt, client)
}

func (p *play) byPIN(d *app.Device, prompt app.Prompt, client string) (string, error) {
	return d.AuthenticatePIN(prompt, client, pin)
}

// sign is the actor of a step that asks for a signature. It knows ok, wrong (over
// another challenge), replayed (the last signature again), removed: a key that the
// account has not, or no more, and unasserted: an iPhone without the word of its app.
func (p *play) sign(step string, by func(*app.Device, app.Prompt, string) (string, error)) scenario.Actor {
	var last json.RawMessage
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		prompt, err := p.phonePrompt(q)
		if err != nil {
			return nil, err
		}
		device := p.device
		switch {
		case q.Word == "replayed" && last != nil:
			return last, nil
		case q.Word == "ok", q.Word == "unasserted":
		case q.Word == "wrong":
			prompt.Challenge = otherChallenge
		case q.Word == "removed":
			if device, err = p.strange(); err != nil {
				return nil, err
			}
		default:
			return nil, unknownWord(step, q.Word, "ok, wrong, removed, unasserted, and replayed once there was one")
		}
		signed, err := by(device, prompt, q.Client)
		if err != nil {
			return nil, err
		}
		answer := map[string]string{"jws": signed}
		if p.iphone != nil && q.Word != "unasserted" {
			if answer["assertion"], err = p.iphone.Assert(signed); err != nil {
				return nil, err
			}
		}
		out, err := reply(answer, nil)
		if q.Word == "ok" {
			last = out
		}
		return out, err
	}
}

// strange is a phone whose keys no account has.
func (p *play) strange() (*app.Device, error) {
	d, err := app.NewDevice(app.DeviceConfig{Now: p.cast.Clock.Now, Biometrics: func() bool { return true }})
	if err != nil {
		return nil, err
	}
	if _, err := d.Enrol(p.given()); err != nil {
		return nil, err
	}
	d.Confirm()
	if _, err := d.EnrolPIN(p.given(), pin); err != nil {
		return nil, err
	}
	d.ConfirmPIN()
	return d, nil
}

// given is the prompt of an enrolment that nobody asked for.
func (p *play) given() app.Prompt {
	return app.Prompt{Challenge: "given", Audience: baseURL, Flow: "given", Step: "given", ExpiresAt: p.cast.Clock.Now().Add(1)}
}

// bindPhone makes the phone's key one of the account, attested or not.
func (p *play) bindPhone(kind string) (account.Authenticator, error) {
	signed, err := p.device.Enrol(p.given())
	if err != nil {
		return account.Authenticator{}, err
	}
	p.device.Confirm()
	data, err := p.vouched(kind)
	if err != nil {
		return account.Authenticator{}, err
	}
	return p.boundKey(account.TypeDevice, p.device.AuthenticatorID(), signed, data)
}

// bindPhonePIN does the same with a key behind a PIN.
func (p *play) bindPhonePIN() (account.Authenticator, error) {
	if p.device == nil {
		return account.Authenticator{}, errors.New("has: device_pin needs a phone, and device: none is given")
	}
	signed, err := p.device.EnrolPIN(p.given(), pin)
	if err != nil {
		return account.Authenticator{}, err
	}
	p.device.ConfirmPIN()
	return p.boundKey(account.TypeDevicePIN, p.device.PINAuthenticatorID(), signed, account.DeviceData{})
}
