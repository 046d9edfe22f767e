package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// The types of the audit events of what an administrator does to an account that
// is there.
const (
	EventDisabled = "account_disabled"
	EventEnabled  = "account_enabled"
	EventTaken    = "authenticator_taken" // out of use; its reason is the type of authenticator
)

// Enable lets an account be used, or with false nobody use it: then its sessions
// end (ASVS 5.0 7.4.2). [account.ErrNotFound] if the login is nobody's; [account.ErrLogin].
func (r *Registrar) Enable(ctx context.Context, login string, usable bool) (Issued, error) {
	who, err := r.find(ctx, login)
	if err != nil {
		return Issued{}, err
	}
	status, event, notice := account.Active, EventEnabled, flows.NoticeEnabled
	if !usable {
		status, event, notice = account.Disabled, EventDisabled, flows.NoticeDisabled
	}
	return Issued{Subject: who.Subject}, r.cfg.Acts.Administer(ctx, flows.Act{
		Event: flows.Event{Type: event, Subject: who.Subject}, Notice: notice, Ends: !usable,
		Do: func(ctx context.Context) error { return r.cfg.Accounts.SetStatus(ctx, who.Subject, status) },
	})
}

// Password is a password that an administrator sets.
type Password struct {
	Login      string
	Password   string // or
	Hash       string // of it, as another system made it
	MustChange bool
	Binding    assurance.Level // None: the lowest, aal1
}

// SetPassword puts a password in the place of the account's, which is taken out of
// use, and ends its sessions. [account.ErrNotFound] if the login is nobody's;
// [account.ErrLogin]; [account.ErrUnfit]; [account.ErrHash].
func (r *Registrar) SetPassword(ctx context.Context, p Password) (Issued, error) {
	who, err := r.find(ctx, p.Login)
	if err != nil {
		return Issued{}, err
	}
	all, err := r.cfg.Accounts.Authenticators(ctx, who.Subject)
	if err != nil {
		return Issued{}, err
	}
	hash, err := r.passwordHash(ctx, Person{Password: p.Password, Hash: p.Hash, Email: account.FirstAddress(all)}, who.Logins[0])
	if err != nil {
		return Issued{}, err
	}
	data, err := json.Marshal(account.PasswordData{Hash: hash, MustChange: p.MustChange})
	if err != nil {
		return Issued{}, err
	}
	binding := max(p.Binding, assurance.AAL1)
	next := account.Authenticator{
		ID: newID(), Subject: who.Subject, Type: account.TypePassword, Status: account.Active,
		Binding: binding.String(), Data: data, Created: r.cfg.Now().UTC(),
	}
	return Issued{Subject: who.Subject, Binding: binding}, r.cfg.Acts.Administer(ctx, flows.Act{
		Event:  flows.Event{Type: EventIssued, Subject: who.Subject, Reason: account.TypePassword, ACR: next.Binding},
		Notice: flows.NoticePassword, About: account.TypePassword, Ends: true,
		Do: func(ctx context.Context) error { // the one before first: of two, neither would be known to be the right one
			for _, a := range all {
				if err := r.disable(ctx, a, a.Type == account.TypePassword); err != nil {
					return err
				}
			}
			return r.cfg.Accounts.AddAuthenticator(ctx, next)
		},
	})
}

// Remove takes the authenticator of that id out of use, or every one of that type,
// ends the account's sessions, and returns the ids. [account.ErrNotFound] if the
// login is nobody's; [account.ErrLogin]; [ErrIssue] if there is no such authenticator.
func (r *Registrar) Remove(ctx context.Context, login, id, typ string) (subject string, removed []string, err error) {
	who, err := r.find(ctx, login)
	if err != nil {
		return "", nil, err
	}
	all, err := r.cfg.Accounts.Authenticators(ctx, who.Subject)
	if err != nil {
		return "", nil, err
	}
	all = slices.DeleteFunc(all, func(a account.Authenticator) bool { return a.ID != id && a.Type != typ })
	used := slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool { return a.Status == account.Disabled })
	if len(used) == 0 {
		used = all // once more: the time before may have failed behind it, where sessions end
	}
	for _, a := range used {
		err := r.cfg.Acts.Administer(ctx, flows.Act{
			Event:  flows.Event{Type: EventTaken, Subject: who.Subject, Reason: a.Type},
			Notice: flows.NoticeRemoved, About: a.Type, Ends: true,
			Do: func(ctx context.Context) error { return r.disable(ctx, a, true) },
		})
		if err != nil {
			return "", nil, errors.Join(err, fmt.Errorf("users: %s is still in use", a.ID))
		}
		removed = append(removed, a.ID)
	}
	if len(removed) == 0 {
		return "", nil, fmt.Errorf("%w: the account has no such authenticator in use", ErrIssue)
	}
	return who.Subject, removed, nil
}

func (r *Registrar) disable(ctx context.Context, a account.Authenticator, these bool) error {
	if !these || a.Status == account.Disabled {
		return nil
	}
	return r.cfg.Accounts.UpdateAuthenticator(ctx, a.ID, func(x *account.Authenticator) error {
		x.Status = account.Disabled
		return nil
	})
}

// Shown is an account as an administrator sees it: no secret is in it.
type Shown struct {
	account.Account
	Authenticators []account.Authenticator // without their data
	Agreements     []account.Agreement     // what the person has agreed to, and not taken back
}

// Show returns the account of a login. [account.ErrNotFound]; [account.ErrLogin].
func (r *Registrar) Show(ctx context.Context, login string) (Shown, error) {
	who, err := r.find(ctx, login)
	if err != nil {
		return Shown{}, err
	}
	all, err := r.cfg.Accounts.Authenticators(ctx, who.Subject)
	for i := range all {
		all[i].Data = nil
	}
	if err != nil {
		return Shown{}, err
	}
	given, err := r.cfg.Accounts.Agreements(ctx, who.Subject)
	return Shown{who, all, given}, err
}
