package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/stile-auth/stile/flows/account"
)

// Accounts is the repository of accounts, authenticators and links of a [Store].
// Its errors are those of package account.
type Accounts struct {
	mu             sync.RWMutex
	accounts       map[string]account.Account
	logins         map[string]string // canonical login to subject
	links          map[linkKey]account.Link
	authenticators map[string]account.Authenticator
	agreements     map[agreementKey]account.Agreement
}

type linkKey struct{ issuer, external string }

func newAccounts() *Accounts {
	return &Accounts{
		accounts:       map[string]account.Account{},
		logins:         map[string]string{},
		links:          map[linkKey]account.Link{},
		authenticators: map[string]account.Authenticator{},
		agreements:     map[agreementKey]account.Agreement{},
	}
}

// CreateAccount stores an account with its authenticators and links, all of it
// or nothing. Their Subject must be the account's. [account.ErrExists] if the
// subject, a login, a link or an authenticator's id is taken.
func (r *Accounts) CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error {
	if err := done(ctx); err != nil {
		return err
	}
	if err := account.CheckNew(a, auths, links); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken(a, auths, links) {
		return account.ErrExists
	}
	r.accounts[a.Subject] = cloneAccount(a)
	for _, login := range a.Logins {
		r.logins[login] = a.Subject
	}
	for _, l := range links {
		l.Created = utc(l.Created)
		r.links[linkKey{l.Issuer, l.External}] = l
	}
	for _, x := range auths {
		r.authenticators[x.ID] = cloneAuthenticator(x)
	}
	return nil
}

func (r *Accounts) taken(a account.Account, auths []account.Authenticator, links []account.Link) bool {
	_, taken := r.accounts[a.Subject]
	for _, login := range a.Logins {
		_, ok := r.logins[login]
		taken = taken || ok
	}
	for _, l := range links {
		_, ok := r.links[linkKey{l.Issuer, l.External}]
		taken = taken || ok
	}
	for _, x := range auths {
		_, ok := r.authenticators[x.ID]
		taken = taken || ok
	}
	return taken
}

// Account returns the account of that subject; [account.ErrNotFound].
func (r *Accounts) Account(ctx context.Context, subject string) (account.Account, error) {
	if err := done(ctx); err != nil {
		return account.Account{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.get(subject)
}

// AccountByLogin returns the account that has this canonical login; [account.ErrNotFound].
func (r *Accounts) AccountByLogin(ctx context.Context, login string) (account.Account, error) {
	if err := done(ctx); err != nil {
		return account.Account{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.get(r.logins[login])
}

// AccountByLink returns the account that is linked to that identity of a remote
// provider; [account.ErrNotFound].
func (r *Accounts) AccountByLink(ctx context.Context, issuer, external string) (account.Account, error) {
	if err := done(ctx); err != nil {
		return account.Account{}, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.get(r.links[linkKey{issuer, external}].Subject)
}

func (r *Accounts) get(subject string) (account.Account, error) {
	a, ok := r.accounts[subject]
	if !ok {
		return account.Account{}, account.ErrNotFound
	}
	return cloneAccount(a), nil
}

// Accounts returns at most limit accounts whose subject comes after, by subject. "" starts.
func (r *Accounts) Accounts(ctx context.Context, after string, limit int) ([]account.Account, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []account.Account
	for _, subject := range slices.Sorted(maps.Keys(r.accounts)) {
		if len(out) >= limit {
			break
		}
		if subject > after {
			out = append(out, cloneAccount(r.accounts[subject]))
		}
	}
	return out, nil
}

// SetAttributes sets these attributes of an account and removes those that are
// set to "". [account.ErrNotFound].
func (r *Accounts) SetAttributes(ctx context.Context, subject string, attributes map[string]string) error {
	if err := done(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.accounts[subject]
	if !ok {
		return account.ErrNotFound
	}
	a = cloneAccount(a)
	a.Attributes = account.Merged(a.Attributes, attributes)
	r.accounts[subject] = a
	return nil
}

// SetStatus sets the status of an account; [account.ErrNotFound].
func (r *Accounts) SetStatus(ctx context.Context, subject string, status account.Status) error {
	if err := done(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.accounts[subject]
	if !ok {
		return account.ErrNotFound
	}
	a.Status = status
	r.accounts[subject] = a
	return nil
}

// Authenticators returns all authenticators of an account, whatever their
// status, by creation time and id. None is no error.
func (r *Accounts) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	if err := done(ctx); err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []account.Authenticator
	for _, x := range r.authenticators {
		if x.Subject == subject {
			out = append(out, cloneAuthenticator(x))
		}
	}
	slices.SortFunc(out, func(a, b account.Authenticator) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// AddAuthenticator binds one more authenticator to an account. [account.ErrExists]
// if its id is taken, by whichever account; [account.ErrNotFound] if there is no such account.
func (r *Accounts) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	if err := done(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.accounts[a.Subject]; !ok {
		return account.ErrNotFound
	}
	if _, ok := r.authenticators[a.ID]; ok {
		return account.ErrExists
	}
	r.authenticators[a.ID] = cloneAuthenticator(a)
	return nil
}

// UpdateAuthenticator changes an authenticator by fn, atomically. An error of fn
// comes back as it is, and nothing changes. fn must do nothing but change its argument:
// it must not use the store, and it may be called more than once.
// [account.ErrNotFound]; [account.ErrFixed].
func (r *Accounts) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	if err := done(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before, ok := r.authenticators[id]
	if !ok {
		return account.ErrNotFound
	}
	after := cloneAuthenticator(before)
	if err := fn(&after); err != nil {
		return err
	}
	if err := account.CheckUpdate(before, after); err != nil {
		return err
	}
	r.authenticators[id] = cloneAuthenticator(after)
	return nil
}

func cloneAccount(a account.Account) account.Account {
	a.Logins, a.Attributes, a.Created = slices.Clone(a.Logins), maps.Clone(a.Attributes), utc(a.Created)
	return a
}

func cloneAuthenticator(a account.Authenticator) account.Authenticator {
	a.Data, a.Created, a.LastUsed = bytes.Clone(a.Data), utc(a.Created), utc(a.LastUsed)
	return a
}
