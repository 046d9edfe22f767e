// Package onetime is what the steps of one-time codes have in common, whether the
// codes follow from the time or from a counter. It is not a step.
package onetime

import (
	"context"
	"errors"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Taker uses a code up on an authenticator: nil, [account.ErrWrong] or
// [account.ErrUsed]; any other error means that the system failed.
type Taker func(*account.Authenticator) error

// Take finds the authenticator of the claimed account, of the type of decoy, that
// a code belongs to, and takes the code. A code that is wrong is found out on a
// copy, so that it costs no transaction, which would tell known accounts from
// unknown ones; where there is none, the work is done on the decoy.
func Take(ctx context.Context, as Authenticators, v *flows.Visit, decoy account.Authenticator, take Taker) (account.Authenticator, error) {
	candidates, err := active(ctx, as, v, decoy.Type)
	if err != nil {
		return account.Authenticator{}, err
	}
	if len(candidates) == 0 {
		_ = take(&decoy) // for the work alone
		return account.Authenticator{}, account.ErrWrong
	}
	result := account.ErrWrong
	for _, a := range candidates {
		attempt := a
		switch err := take(&attempt); {
		case errors.Is(err, account.ErrWrong):
		case errors.Is(err, account.ErrUsed):
			result = err
		case err != nil:
			return account.Authenticator{}, err
		default:
			return a, as.UpdateAuthenticator(ctx, a.ID, take)
		}
	}
	return account.Authenticator{}, result
}

// active returns the active authenticators of the claimed account. It asks also
// for no account at all, so that the look-up takes its time.
func active(ctx context.Context, as Authenticators, v *flows.Visit, typ string) ([]account.Authenticator, error) {
	all, err := as.Authenticators(ctx, v.Claimed)
	if err != nil {
		return nil, err
	}
	var found []account.Authenticator
	for _, a := range all {
		if v.Claimed != "" && a.Type == typ && a.Status == account.Active {
			found = append(found, a)
		}
	}
	return found, nil
}

// Evidence is what a code of that authenticator proves: one factor, possession.
func Evidence(m assurance.Method, a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:          m,
		Authenticator:   a.ID,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		Binding:         binding,
		Cap:             assurance.AAL3,
	}
}

// Ceilings is the most that codes of that method prove.
func Ceilings(m assurance.Method) []assurance.Ceiling {
	return []assurance.Ceiling{{Method: m, Categories: []assurance.Category{assurance.Possession}, ReplayResistant: true}}
}
