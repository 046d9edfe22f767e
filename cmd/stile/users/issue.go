package users

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// EventIssued is the type of the audit event of an authenticator that an
// administrator adds to an account; its reason is the type of authenticator, its
// acr the level at binding.
const EventIssued = "authenticator_issued"

// EventRevoked is the type of the audit event of an agreement that an
// administrator takes back; its reason is the kind of agreement.
const EventRevoked = "agreement_revoked"

// Bounds of how long an activation code is good.
const (
	minLifetime = time.Minute
	maxLifetime = 90 * 24 * time.Hour
)

// ErrIssue reports what cannot be issued; its text says why.
var ErrIssue = errors.New("users: cannot be issued")

// Token is a device that shows one-time codes and comes with its seed.
type Token struct {
	Login   string
	Type    string // [account.TypeHOTP] or [account.TypeTOTP]
	Seed    []byte
	Digits  int           // 6 to 8
	Counter uint64        // of HOTP: the first one whose code is good
	Period  time.Duration // of TOTP
	Name    string
	Binding assurance.Level // None: the lowest, aal1
}

// Issued is what became of it. Code is a secret: it is shown once, to be sent to the person.
type Issued struct {
	Subject string
	Binding assurance.Level
	Code    string // of activation; "": none
	Channel string
	Expires time.Time
}

// AddToken binds a token to an account. [account.ErrNotFound] if the login is nobody's; [account.ErrLogin]; [ErrIssue].
func (r *Registrar) AddToken(ctx context.Context, t Token) (Issued, error) {
	if t.Digits < 6 || t.Digits > 8 || len(t.Seed) < 16 || len(t.Seed) > 64 || account.CheckName(t.Name) != nil {
		return Issued{}, fmt.Errorf("%w: a token has 6 to 8 digits and a seed of 16 to 64 bytes", ErrIssue)
	}
	return r.issue(ctx, t.Login, t.Type, t.Name, t.Binding, func(subject, id string) (any, error) {
		sealed, err := account.SealSeed(r.cfg.Sealer, subject, id, t.Seed)
		switch {
		case err != nil:
			return nil, err
		case t.Type == account.TypeHOTP && t.Counter < 1<<62:
			return account.HOTPData{Seed: sealed, Digits: t.Digits, Next: t.Counter}, nil
		case t.Type == account.TypeTOTP && t.Period >= 15*time.Second && t.Period <= 2*time.Minute && t.Period%time.Second == 0:
			return account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: t.Digits, Period: int(t.Period / time.Second)}, nil
		}
		return nil, fmt.Errorf("%w: counter or period", ErrIssue)
	})
}

// Code is an activation code that is asked for.
type Code struct {
	Login    string
	Channel  string // one of [account.ActivationChannels]
	Lifetime time.Duration
	Binding  assurance.Level // None: the lowest, aal1
}

// IssueCode makes an activation code for an account. [account.ErrNotFound] if the login is nobody's; [account.ErrLogin]; [ErrIssue].
func (r *Registrar) IssueCode(ctx context.Context, c Code) (Issued, error) {
	switch {
	case !slices.Contains(account.ActivationChannels(), c.Channel):
		return Issued{}, fmt.Errorf("%w: no code goes by %q", ErrIssue, c.Channel)
	case c.Lifetime < minLifetime || c.Lifetime > maxLifetime:
		return Issued{}, fmt.Errorf("%w: a code is good for %s to %s", ErrIssue, minLifetime, maxLifetime)
	case c.Binding > assurance.AAL2:
		return Issued{}, fmt.Errorf("%w: a code is worth aal2 at most", ErrIssue)
	}
	code, expires := account.NewActivationCode(), r.cfg.Now().UTC().Add(c.Lifetime)
	out, err := r.issue(ctx, c.Login, account.TypeActivation, c.Channel, c.Binding, func(subject, id string) (any, error) {
		d, err := account.NewActivationData(r.cfg.Codes, subject, id, code)
		d.Channel, d.Expires = c.Channel, expires
		return d, err
	})
	if err != nil {
		return Issued{}, err
	}
	out.Code, out.Channel, out.Expires = code, c.Channel, expires
	return out, nil
}

// Revoke takes back what an account has agreed to, after the audit event.
// [account.ErrNotFound] if the login is nobody's; [account.ErrLogin].
func (r *Registrar) Revoke(ctx context.Context, login, kind, name string) (Issued, error) {
	canonical, err := account.Canonical(login)
	if err != nil {
		return Issued{}, err
	}
	who, err := r.cfg.Accounts.AccountByLogin(ctx, canonical)
	if err != nil {
		return Issued{}, err
	}
	event := flows.Event{ID: rand.Text(), Time: r.cfg.Now().UTC(), Type: EventRevoked, Subject: who.Subject, Reason: kind}
	if err := r.cfg.Recorder.Record(ctx, event); err != nil {
		return Issued{}, fmt.Errorf("users: audit: %w", err)
	}
	return Issued{Subject: who.Subject}, r.cfg.Accounts.Revoke(ctx, who.Subject, kind, name)
}

// issue adds an authenticator to the account of a login, and before it the audit
// event: one too many is better than an authenticator that nobody heard of.
func (r *Registrar) issue(ctx context.Context, login, typ, name string, binding assurance.Level, data func(subject, id string) (any, error)) (Issued, error) {
	canonical, err := account.Canonical(login)
	if err != nil {
		return Issued{}, err
	}
	who, err := r.cfg.Accounts.AccountByLogin(ctx, canonical)
	if err != nil {
		return Issued{}, err
	}
	if binding == assurance.None {
		binding = assurance.AAL1
	}
	id, now := newID(), r.cfg.Now().UTC()
	value, err := data(who.Subject, id)
	if err != nil {
		return Issued{}, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return Issued{}, err
	}
	event := flows.Event{ID: rand.Text(), Time: now, Type: EventIssued, Subject: who.Subject, Reason: typ, ACR: binding.String()}
	if err := r.cfg.Recorder.Record(ctx, event); err != nil {
		return Issued{}, fmt.Errorf("users: audit: %w", err)
	}
	return Issued{Subject: who.Subject, Binding: binding}, r.cfg.Accounts.AddAuthenticator(ctx, account.Authenticator{
		ID: id, Subject: who.Subject, Type: typ, Name: name, Status: account.Active, Binding: binding.String(), Data: text, Created: now,
	})
}
