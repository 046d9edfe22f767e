package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The step types that need more of a phone than a keyboard.
const (
	typeSSO        = "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED"
	typeSelection  = "SELECTION_REQUIRED"
	typePassword   = "PASSWORD_REQUIRED"
	typeOTP        = "OTP_REQUIRED"
	typeEnrolment  = "DEVICE_ENROLMENT_REQUIRED"
	typeBiometrics = "BIOMETRIC_ATTESTATION_REQUIRED"
	typeApproval   = "TRANSACTION_APPROVAL_REQUIRED"
	typeWait       = "WAIT_REQUIRED"
)

// draw shows a step to the user and returns the members of the body. Types
// without a screen of their own are drawn from the schema of the action.
func (a *App) draw(ctx context.Context, s *step, act action) (map[string]any, error) {
	if say := a.cfg.Answers[s.Type]; say != nil {
		return say([]byte(s.Data))
	}
	switch s.Type {
	case typeSSO:
		return a.browse(ctx, s)
	case typeSelection:
		return a.choose(s, act)
	case typePassword:
		return a.password(s, act)
	case typeWait:
		return map[string]any{}, a.await(ctx, s)
	case typeEnrolment:
		return a.sign(s, a.cfg.Device.Enrol)
	case typeBiometrics:
		return a.sign(s, func(p Prompt) (string, error) { return a.cfg.Device.Authenticate(p, a.cfg.ClientID) })
	}
	if s.Type == typeApproval {
		var shown Shown
		if err := s.data(&shown); err != nil {
			return nil, err
		}
		return a.sign(s, func(p Prompt) (string, error) { return a.cfg.Device.Approve(p, shown, a.cfg.ClientID) })
	}
	return a.fill(act)
}

// browse opens the system browser and returns what the provider sent back.
func (a *App) browse(ctx context.Context, s *step) (map[string]any, error) {
	var data struct {
		URI         string    `json:"authorizationRequestUri"`
		RedirectURI string    `json:"redirectUri"`
		ExpiresAt   time.Time `json:"expiresAt"`
	}
	if err := s.data(&data); err != nil {
		return nil, err
	}
	switch {
	case data.URI == "":
		return nil, errors.New("no authorizationRequestUri in the data")
	case data.RedirectURI != a.cfg.RedirectURI:
		return nil, fmt.Errorf("the answer would go to %q and not to this app", data.RedirectURI)
	case !data.ExpiresAt.IsZero() && !a.cfg.Now().Before(data.ExpiresAt):
		return nil, fmt.Errorf("the authorization request expired at %s", data.ExpiresAt)
	}
	back, err := a.cfg.Browser.Open(ctx, data.URI, data.RedirectURI)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(back)
	if err != nil {
		return nil, fmt.Errorf("redirect: %w", err)
	}
	return map[string]any{"queryString": u.RawQuery}, nil // unread: the server checks it
}

// choose lets the user pick. The server's word on what may be picked is the
// enum of the schema; data.options only describes it.
func (a *App) choose(s *step, act action) (map[string]any, error) {
	var data struct {
		Options []Option `json:"options"`
	}
	if err := s.data(&data); err != nil {
		return nil, err
	}
	if len(data.Options) == 0 {
		return a.fill(act)
	}
	id := a.pick(data.Options)
	for _, o := range data.Options {
		if o.ID == id {
			return map[string]any{"select": id}, nil
		}
	}
	return nil, fmt.Errorf("the user picked %q, which is not offered", id)
}

func (a *App) pick(options []Option) string {
	if a.cfg.Choose != nil {
		return a.cfg.Choose(options)
	}
	for _, o := range options {
		if o.Type != typeBiometrics || a.cfg.Device.AuthenticatorID() != "" {
			return o.ID
		}
	}
	return options[0].ID
}

// password adds the user name only where it is asked for.
func (a *App) password(s *step, act action) (map[string]any, error) {
	var data struct {
		IdentifierRequired bool `json:"identifierRequired"`
	}
	if err := s.data(&data); err != nil {
		return nil, err
	}
	values, err := a.fill(act)
	if err == nil && data.IdentifierRequired {
		values["username"], err = a.typed("username")
	}
	return values, err
}

// await waits until the step may be answered. If the phone's clock is fast, the
// server says how much longer it takes.
func (a *App) await(ctx context.Context, s *step) error {
	var data struct {
		Until time.Time `json:"until"`
	}
	if err := s.data(&data); err != nil {
		return err
	}
	left := data.Until.Sub(a.cfg.Now())
	switch {
	case data.Until.IsZero():
		return errors.New("no until in the data")
	case left > a.cfg.MaxWait:
		return fmt.Errorf("the wait would take %s, which is too long", left)
	case left <= 0:
		return nil
	}
	return a.cfg.Wait(ctx, left)
}

// sign answers a device step with a signature. A prompt that is meant for
// another server is not signed: somebody is relaying it.
func (a *App) sign(s *step, with func(Prompt) (string, error)) (map[string]any, error) {
	var p Prompt
	if err := s.data(&p); err != nil {
		return nil, err
	}
	if !a.isServer(p.Audience) {
		return nil, fmt.Errorf("the prompt is meant for %q", p.Audience)
	}
	if s.Type == typeEnrolment && !hasES256(p.Algorithms) {
		return nil, fmt.Errorf("the server takes %v, the device makes ES256", p.Algorithms)
	}
	jws, err := with(p)
	if err != nil {
		return nil, err
	}
	return map[string]any{"jws": jws}, nil
}

func hasES256(algorithms []string) bool {
	for _, alg := range algorithms {
		if alg == "ES256" {
			return true
		}
	}
	return false
}

// untilNextCode is the time until the authenticator app shows another code
// (RFC 6238 section 4).
func untilNextCode(now time.Time, s *step) time.Duration {
	var data struct {
		Period int64 `json:"period"`
	}
	if err := s.data(&data); err != nil || data.Period <= 0 || data.Period > 300 {
		data.Period = 30
	}
	period := time.Duration(data.Period) * time.Second
	return period - time.Duration(now.UnixNano()%int64(period))
}
