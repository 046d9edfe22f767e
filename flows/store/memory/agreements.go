package memory

import (
	"context"
	"slices"

	"github.com/stile-auth/stile/flows/account"
)

type agreementKey struct{ subject, kind, name string }

// Agreements returns what an account has agreed to, by kind and name. None is no
// error, and neither is an account that does not exist.
func (r *Accounts) Agreements(ctx context.Context, subject string) ([]account.Agreement, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []account.Agreement
	for _, a := range r.agreements {
		if a.Subject == subject {
			out = append(out, cloneAgreement(a))
		}
	}
	slices.SortFunc(out, account.CompareAgreements)
	return out, nil
}

// Agree stores an agreement in the place of one of the same kind and name.
// [account.ErrNotFound] if there is no such account; [account.ErrAgreement].
func (r *Accounts) Agree(ctx context.Context, a account.Agreement) error {
	if err := done(ctx); err != nil {
		return err
	}
	if err := account.CheckAgreement(a); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.accounts[a.Subject]; !ok {
		return account.ErrNotFound
	}
	r.agreements[agreementKey{a.Subject, a.Kind, a.Name}] = cloneAgreement(a)
	return nil
}

// Revoke takes an agreement back; absent is no error.
func (r *Accounts) Revoke(ctx context.Context, subject, kind, name string) error {
	if err := done(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.agreements, agreementKey{subject, kind, name})
	return nil
}

func cloneAgreement(a account.Agreement) account.Agreement {
	a.Scopes, a.Given = slices.Clone(a.Scopes), utc(a.Given)
	return a
}
