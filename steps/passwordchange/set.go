package passwordchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// set sets a password by the rules and returns the authenticator's id. An
// [account.UnfitError] says what is wrong with the new one, [account.ErrWrong]
// that the current one is not right.
func (s *step) set(ctx context.Context, v *flows.Visit, a answer) (id string, err error) {
	all, err := s.Authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return "", err
	}
	who, err := s.Accounts.Account(ctx, v.Subject)
	if err != nil {
		return "", err
	}
	address := account.FirstAddress(all)
	if err := s.Rules.Check(ctx, a.New, append(slices.Clone(who.Logins), address)...); err != nil {
		return "", err
	}
	if done := setBefore(all, v.Owner()); done != "" {
		return done, nil // this request, after a crash
	}
	old, found := active(all)
	switch {
	case !found && a.Current != "":
		err = s.Hasher.VerifyDummy(ctx, a.Current) // it is gone since it was asked for
	case !found:
		id, err = s.add(ctx, v, a.New, account.PasswordData{})
	default:
		id, err = s.change(ctx, v, old, a)
	}
	return id, err
}

// setBefore finds what this very request has set already.
func setBefore(all []account.Authenticator, owner string) string {
	for _, a := range all {
		var d account.PasswordData
		if a.Type == account.TypePassword && a.Status != account.Disabled && json.Unmarshal(a.Data, &d) == nil && d.Owner == owner {
			return a.ID
		}
	}
	return ""
}

// change sets another password in the place of one that is there.
func (s *step) change(ctx context.Context, v *flows.Visit, old account.Authenticator, a answer) (string, error) {
	var d account.PasswordData
	if err := json.Unmarshal(old.Data, &d); err != nil {
		return "", fmt.Errorf("data of authenticator %s: %w", old.ID, err)
	}
	if a.Current != "" {
		if err := s.Hasher.Verify(ctx, d.Hash, a.Current); err != nil {
			return "", err
		}
	}
	if err := s.isNew(ctx, d, a.New); err != nil {
		return "", err
	}
	next := account.PasswordData{Before: s.history(d)}
	if binding, err := assurance.ParseLevel(old.Binding); a.Current == "" && (err != nil || v.Level < binding) {
		return s.replace(ctx, v, old, a.New, next)
	}
	hash, err := s.Hasher.Hash(ctx, a.New)
	if err != nil {
		return "", err
	}
	next.Hash, next.Owner = hash, v.Owner()
	return old.ID, s.Authenticators.UpdateAuthenticator(ctx, old.ID, func(x *account.Authenticator) error {
		var now account.PasswordData
		if err := json.Unmarshal(x.Data, &now); err != nil {
			return err
		}
		if x.Status != account.Active || now.Hash != d.Hash {
			return account.ErrWrong // changed by somebody else meanwhile
		}
		data, err := json.Marshal(next)
		if err != nil {
			return err
		}
		x.Data = data
		return nil
	})
}

// isNew refuses the current password and those before it.
func (s *step) isNew(ctx context.Context, d account.PasswordData, password string) error {
	reason := account.Unchanged
	for i, hash := range append([]string{d.Hash}, d.Before...) {
		if i > s.cfg.History {
			return nil
		}
		err := s.Hasher.Verify(ctx, hash, password)
		switch {
		case err == nil:
			return &account.UnfitError{Reason: reason}
		case errors.Is(err, account.ErrHash) && i > 0: // its pepper is gone: nobody can tell any more
		case !errors.Is(err, account.ErrWrong):
			return err
		}
		reason = account.UsedBefore
	}
	return nil
}

// history is what a new password has before it.
func (s *step) history(d account.PasswordData) []string {
	all := append([]string{d.Hash}, d.Before...)
	return all[:min(len(all), s.cfg.History)]
}

// replace binds a new authenticator, at the run's level, and takes the old one
// out of use: its level was not reached by who sets the new one.
func (s *step) replace(ctx context.Context, v *flows.Visit, old account.Authenticator, password string, d account.PasswordData) (string, error) {
	id, err := s.add(ctx, v, password, d)
	if err != nil {
		return "", err
	}
	return id, s.Authenticators.UpdateAuthenticator(ctx, old.ID, func(x *account.Authenticator) error {
		x.Status = account.Disabled
		return nil
	})
}

// add binds a password to an account that has none. It becomes active with the
// change that this answer makes.
func (s *step) add(ctx context.Context, v *flows.Visit, password string, d account.PasswordData) (string, error) {
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	d.Hash, d.Owner = hash, v.Owner()
	data, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte("password\x00" + v.Subject + "\x00" + v.Owner()))
	id := hex.EncodeToString(sum[:16])
	return id, s.Authenticators.AddAuthenticator(ctx, account.Authenticator{
		ID: id, Subject: v.Subject, Type: account.TypePassword, Status: account.Pending,
		Binding: v.Level.String(), Data: data, Created: v.Now.UTC(),
	})
}
