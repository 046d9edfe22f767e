package users

import (
	"context"
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

// Issued is what became of it. Code is a secret: it is shown once, to be given to the person.
type Issued struct {
	Subject string
	Binding assurance.Level
	Code    string // of activation; "": none, or sent
	Channel string
	Expires time.Time
}

// AddToken binds a token to an account. [account.ErrNotFound] if the login is nobody's; [account.ErrLogin]; [ErrIssue].
func (r *Registrar) AddToken(ctx context.Context, t Token) (Issued, error) {
	if t.Digits < 6 || t.Digits > 8 || len(t.Seed) < 16 || len(t.Seed) > 64 || account.CheckName(t.Name) != nil {
		return Issued{}, fmt.Errorf("%w: a token has 6 to 8 digits and a seed of 16 to 64 bytes", ErrIssue)
	}
	who, err := r.find(ctx, t.Login)
	if err != nil {
		return Issued{}, err
	}
	a := account.Authenticator{Type: t.Type, Name: t.Name, Binding: t.Binding.String()}
	return r.issue(ctx, who, a, func(id string) (any, error) {
		sealed, err := account.SealSeed(r.cfg.Sealer, who.Subject, id, t.Seed)
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
	Send     bool            // to the account's address, by [account.ByMail] or [account.BySMS]; nobody here sees it
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
	who, err := r.find(ctx, c.Login)
	if err != nil {
		return Issued{}, err
	}
	code, expires := account.NewActivationCode(), r.cfg.Now().UTC().Add(c.Lifetime)
	var send []flows.Message
	if c.Send {
		m, err := r.posted(ctx, who, c.Channel, code, expires)
		if err != nil {
			return Issued{}, err
		}
		send = append(send, m)
	}
	a := account.Authenticator{Type: account.TypeActivation, Name: c.Channel, Binding: c.Binding.String()}
	out, err := r.issue(ctx, who, a, func(id string) (any, error) {
		d, err := account.NewActivationData(r.cfg.Codes, who.Subject, id, code)
		d.Channel, d.Expires = c.Channel, expires
		return d, err
	}, send...)
	if err != nil {
		return Issued{}, err
	}
	out.Channel, out.Expires = c.Channel, expires
	if !c.Send {
		out.Code = code
	}
	return out, nil
}

// posted is the message that brings a code to where the account's owner is reached by that channel.
func (r *Registrar) posted(ctx context.Context, who account.Account, channel, code string, expires time.Time) (flows.Message, error) {
	all, err := r.cfg.Accounts.Authenticators(ctx, who.Subject)
	if err != nil {
		return flows.Message{}, err
	}
	to := ""
	switch channel {
	case account.ByMail:
		to = account.FirstAddress(all)
	case account.BySMS:
		to = account.FirstNumber(all)
	}
	if to == "" {
		return flows.Message{}, fmt.Errorf("%w: the account has nothing that a message by %q reaches", ErrIssue, channel)
	}
	useful := r.cfg.Now().UTC().Add(sendFor)
	if expires.Before(useful) {
		useful = expires
	}
	return flows.Message{
		Channel: channel, To: to, Template: "activation_code", Expires: useful,
		Args: map[string]string{"code": code, "until": expires.Format("2006-01-02 15:04 UTC")},
	}, nil
}

// sendFor is how long it is tried to send a code.
const sendFor = 24 * time.Hour

// Revoke takes back what an account has agreed to, after the audit event.
// [account.ErrNotFound] if the login is nobody's; [account.ErrLogin].
func (r *Registrar) Revoke(ctx context.Context, login, kind, name string) (Issued, error) {
	who, err := r.find(ctx, login)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Subject: who.Subject}, r.cfg.Acts.Administer(ctx, flows.Act{
		Event: flows.Event{Type: EventRevoked, Subject: who.Subject, Reason: kind},
		Do:    func(ctx context.Context) error { return r.cfg.Accounts.Revoke(ctx, who.Subject, kind, name) },
	})
}

// issue adds an authenticator to an account, and sends what brings it to its owner.
func (r *Registrar) issue(ctx context.Context, who account.Account, a account.Authenticator, data func(id string) (any, error), send ...flows.Message) (Issued, error) {
	if a.Binding == assurance.None.String() {
		a.Binding = assurance.AAL1.String()
	}
	a.ID, a.Subject, a.Status, a.Created = newID(), who.Subject, account.Active, r.cfg.Now().UTC()
	value, err := data(a.ID)
	if err != nil {
		return Issued{}, err
	}
	if a.Data, err = json.Marshal(value); err != nil {
		return Issued{}, err
	}
	binding, err := assurance.ParseLevel(a.Binding)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Subject: who.Subject, Binding: binding}, r.cfg.Acts.Administer(ctx, flows.Act{
		Event:  flows.Event{Type: EventIssued, Subject: who.Subject, Reason: a.Type, ACR: a.Binding},
		Notice: flows.NoticeAdded, About: a.Type, Send: send,
		Do: func(ctx context.Context) error { return r.cfg.Accounts.AddAuthenticator(ctx, a) },
	})
}

// find returns the account of a login, however it is spelled.
func (r *Registrar) find(ctx context.Context, login string) (account.Account, error) {
	canonical, err := account.Canonical(login)
	if err != nil {
		return account.Account{}, err
	}
	return r.cfg.Accounts.AccountByLogin(ctx, canonical)
}
