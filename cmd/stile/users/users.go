// Package users is what administrators do to accounts: they add them, issue
// authenticators and codes, set passwords, take authenticators out of use, and
// disable accounts. All of it is audited, and the account's owner is told.
//
// The level at which what they hand out is bound is a statement of whoever adds the account, about how sure they
// are of whom they hand the authenticators to. It caps what these
// authenticators can ever prove, is the lowest unless stated, and is audited.
package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// EventAccountAdded is the type of the audit event of an added account; its
// acr is the level at binding.
const EventAccountAdded = "account_added"

// EventUnlocked is the type of the audit event of an administrator who forgets
// failed attempts; its reason is the type of authenticator.
const EventUnlocked = "authenticator_unlocked"

// Repository keeps accounts; the stores' repositories of accounts do.
type Repository interface {
	// CreateAccount stores all of it or nothing; [account.ErrExists].
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
	// AccountByLogin finds by canonical login; [account.ErrNotFound].
	AccountByLogin(ctx context.Context, login string) (account.Account, error)
	Standing
	Authenticators
}

// Standing is what administrators change of an account itself.
type Standing interface {
	// SetStatus sets the status of an account; [account.ErrNotFound].
	SetStatus(ctx context.Context, subject string, status account.Status) error
	// Agreements returns what an account has agreed to; none is no error.
	Agreements(ctx context.Context, subject string) ([]account.Agreement, error)
	// Revoke takes an agreement back; absent is no error.
	Revoke(ctx context.Context, subject, kind, name string) error
}

// Authenticators keeps what is bound to accounts.
type Authenticators interface {
	// AddAuthenticator binds one more authenticator; [account.ErrExists].
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	// Authenticators returns the account's authenticators, whatever their type and status.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Administrator does what is done to an account that is there; an engine is one.
type Administrator interface {
	// Administer audits the act, sees to it that the account's owner is told, does it, and ends sessions.
	Administer(ctx context.Context, a flows.Act) error
}

// Config is what a [Registrar] needs. All fields are required.
type Config struct {
	Accounts Repository
	Hasher   *account.Hasher
	Rules    account.PasswordRules // but for the length: a first password is an administrator's
	Sealer   account.Sealer        // of the seeds of one-time codes
	Codes    []byte                // 32 bytes that key the hashes of activation codes
	Recorder flows.Recorder
	Acts     Administrator
	Issuer   string // the name that authenticator apps show
	Now      func() time.Time
}

// Registrar adds accounts. Safe for concurrent use.
type Registrar struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Registrar, error) {
	if cfg.Accounts == nil || cfg.Hasher == nil || cfg.Sealer == nil || len(cfg.Codes) < 32 || cfg.Recorder == nil || cfg.Acts == nil || cfg.Issuer == "" || cfg.Now == nil {
		return nil, errors.New("users: all fields of Config are required")
	}
	return &Registrar{cfg}, nil
}

// Person is who is added. Only Login is required.
type Person struct {
	Login      string
	Password   string // "": none
	Hash       string // of the password, as another system made it; "": none
	MustChange bool   // the password lets nobody in before it is changed
	PIN        string // "": none
	TOTP       bool   // make a seed for one-time codes
	Email      string // address that codes are sent to; "": none
	Phone      string // number that codes are sent to; "": none
	Links      []Link
	Attributes map[string]string
	Binding    assurance.Level // None: the lowest, aal1
}

// Link is an identity at a remote provider.
type Link struct{ Issuer, Subject string }

// Added is what became of a person. Seed and URI are secrets: they are shown
// once, to the person.
type Added struct {
	Subject string
	Login   string // canonical
	Binding assurance.Level
	Seed    []byte // of one-time codes (RFC 6238: SHA-1, 6 digits, 30 s); nil: none
	URI     string // the seed as an otpauth URI
}

// Add adds an account, all of it or nothing. [account.ErrExists] if the login or a
// link is taken; [account.ErrUnfit] for a password or PIN that may not be set;
// [account.ErrHash] for a hash that cannot be taken over;
// [account.ErrLogin]. Without an audit event there is no account.
func (r *Registrar) Add(ctx context.Context, p Person) (Added, error) {
	login, err := account.Canonical(p.Login)
	if err != nil {
		return Added{}, err
	}
	if p.Binding == assurance.None {
		p.Binding = assurance.AAL1
	}
	now := r.cfg.Now().UTC()
	out := Added{Subject: rand.Text(), Login: login, Binding: p.Binding}
	a := account.Account{
		Subject: out.Subject, Status: account.Active, Logins: []string{login},
		Attributes: maps.Clone(p.Attributes), Created: now,
	}
	auths, err := r.authenticators(ctx, p, &out, now)
	if err != nil {
		return Added{}, err
	}
	var links []account.Link
	for _, l := range p.Links {
		links = append(links, account.Link{Issuer: l.Issuer, External: l.Subject, Subject: out.Subject, Created: now})
	}
	if err := account.CheckNew(a, auths, links); err != nil {
		return Added{}, err
	}
	// Before the account: an event too many is better than an account that nobody heard of.
	event := flows.Event{ID: rand.Text(), Time: now, Type: EventAccountAdded, Subject: out.Subject, ACR: p.Binding.String()}
	if err := r.cfg.Recorder.Record(ctx, event); err != nil {
		return Added{}, fmt.Errorf("users: audit: %w", err)
	}
	if err := r.cfg.Accounts.CreateAccount(ctx, a, auths, links); err != nil {
		return Added{}, err
	}
	return out, nil
}

func (r *Registrar) authenticators(ctx context.Context, p Person, out *Added, now time.Time) ([]account.Authenticator, error) {
	var all []account.Authenticator
	add := func(id, typ string, data any) error {
		text, err := json.Marshal(data)
		all = append(all, account.Authenticator{
			ID: id, Subject: out.Subject, Type: typ, Status: account.Active,
			Binding: p.Binding.String(), Data: text, Created: now,
		})
		return err
	}
	if p.Password != "" || p.Hash != "" {
		hash, err := r.passwordHash(ctx, p, out.Login)
		if err = errors.Join(err, add(newID(), account.TypePassword, account.PasswordData{Hash: hash, MustChange: p.MustChange})); err != nil {
			return nil, err
		}
	}
	if p.PIN != "" {
		hash, err := r.hash(ctx, p.PIN, func(pin string) error { return account.CheckPIN(pin, p.Login, p.Phone) })
		if err = errors.Join(err, add(newID(), account.TypePIN, account.PINData{Hash: hash, Digits: len(p.PIN)})); err != nil {
			return nil, err
		}
	}
	if p.TOTP {
		id := newID()
		data, err := r.seed(id, out)
		if err = errors.Join(err, add(id, account.TypeTOTP, data)); err != nil {
			return nil, err
		}
	}
	if p.Email != "" {
		address, err := account.ParseEmail(p.Email)
		if err = errors.Join(err, add(newID(), account.TypeEmail, account.EmailData{Address: address})); err != nil {
			return nil, err
		}
	}
	if p.Phone != "" {
		number, err := account.ParsePhone(p.Phone)
		if err = errors.Join(err, add(newID(), account.TypePhone, account.PhoneData{Number: number})); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// passwordHash is the hash of a password that may be set, or one that can be taken over.
func (r *Registrar) passwordHash(ctx context.Context, p Person, login string) (string, error) {
	if p.Hash != "" {
		return p.Hash, account.CheckHash(p.Hash)
	}
	rules := r.cfg.Rules
	rules.Min = account.MinPassword
	if err := rules.Check(ctx, p.Password, login, p.Email); err != nil {
		return "", err
	}
	return r.cfg.Hasher.Hash(ctx, p.Password)
}

func (r *Registrar) hash(ctx context.Context, secret string, check func(string) error) (string, error) {
	if err := check(secret); err != nil {
		return "", err
	}
	return r.cfg.Hasher.Hash(ctx, secret)
}

func (r *Registrar) seed(id string, out *Added) (account.TOTPData, error) {
	seed, err := account.NewSeed(rand.Reader)
	if err != nil {
		return account.TOTPData{}, err
	}
	sealed, err := account.SealSeed(r.cfg.Sealer, out.Subject, id, seed)
	if err != nil {
		return account.TOTPData{}, err
	}
	data := account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30}
	out.Seed = seed
	out.URI, err = data.URI(seed, r.cfg.Issuer, out.Login)
	return data, err
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return base64.RawURLEncoding.EncodeToString(id)
}
