package sso

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
)

// TypeProviderToken is the type of the propagator that hands on a provider's tokens.
const TypeProviderToken = "provider_token"

// KeeperConfig is what a Keeper needs. All fields are required.
type KeeperConfig struct {
	Find     func(name string) (Provider, error) // among those that are in use; [flows.ErrUnavailable]
	Kept     flows.Leftovers
	Marks    flows.Marks
	Sealer   flows.Sealer
	Recorder flows.Recorder
	Now      func() time.Time
}

// Keeper cares for the tokens that sign-ons have brought: it refreshes them, hands them
// to the targets that say so, and has them revoked once their session has ended,
// however it did. Safe for concurrent use.
type Keeper struct {
	cfg    KeeperConfig
	flight singleflight.Group // one refresh of one sign-on's tokens
}

var (
	_ flows.Propagator = (*Keeper)(nil)
	_ flows.Departures = (*Keeper)(nil)
)

// NewKeeper makes a keeper.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	if cfg.Find == nil || cfg.Kept == nil || cfg.Marks == nil || cfg.Sealer == nil || cfg.Recorder == nil || cfg.Now == nil {
		return nil, errors.New("sso: Find, Kept, Marks, Sealer, Recorder and Now are required")
	}
	return &Keeper{cfg: cfg}, nil
}

const (
	refreshBefore = 30 * time.Second // what ends sooner is refreshed
	refreshLease  = 20 * time.Second // longer than a refresh can take
	refreshLimit  = 15 * time.Second
)

// Propagate hands on the access token of the provider that the target names, refreshed
// if need be. [flows.ErrSignOnAgain]: there is none any more. [flows.ErrUnavailable]:
// the provider cannot be asked now, or another node asks it.
func (k *Keeper) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	p, err := k.cfg.Find(id.Provider)
	if err != nil {
		return flows.Grant{}, err
	}
	found, err := k.find(ctx, id.Provider, id.Run, id.Session)
	if err != nil {
		return flows.Grant{}, err
	}
	result := <-k.flight.DoChan(found.ID, func() (any, error) {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshLimit)
		defer cancel()
		return k.usable(limited, p, found, id.Session)
	})
	if result.Err != nil {
		return flows.Grant{}, result.Err
	}
	t, _ := result.Val.(oidcclient.Tokens)
	if t.Expires.IsZero() { // nothing says how long: nobody is promised more than a moment
		t.Expires = id.Now.Add(refreshBefore)
	}
	return flows.Grant{Type: TypeProviderToken, Token: t.Access, Scheme: "Bearer", Expires: t.Expires}, nil
}

// find is what is kept of that provider: of the run itself, or else of its session.
func (k *Keeper) find(ctx context.Context, provider string, owners ...string) (flows.Kept, error) {
	owners = slices.DeleteFunc(owners, func(owner string) bool { return owner == "" }) // whose they were cannot be told
	all, err := k.cfg.Kept.KeptBy(ctx, owners...)
	if err != nil {
		return flows.Kept{}, fmt.Errorf("%w: sso: tokens: %w", flows.ErrUnavailable, err)
	}
	for _, owner := range owners {
		if i := slices.IndexFunc(all, func(one flows.Kept) bool { return one.Owner == owner && one.Provider == provider }); i >= 0 {
			return all[i], nil
		}
	}
	return flows.Kept{}, fmt.Errorf("%w: sso: none of provider %q are kept", flows.ErrSignOnAgain, provider)
}

// usable are the tokens as they are now, refreshed if need be. Only one node refreshes:
// a provider that rotates takes two for a theft.
func (k *Keeper) usable(ctx context.Context, p Provider, found flows.Kept, heir string) (oidcclient.Tokens, error) {
	all, err := k.cfg.Kept.KeptBy(ctx, found.Owner) // again: whoever was here before may have refreshed it
	if err != nil {
		return oidcclient.Tokens{}, fmt.Errorf("%w: sso: tokens: %w", flows.ErrUnavailable, err)
	}
	i := slices.IndexFunc(all, func(one flows.Kept) bool { return one.ID == found.ID })
	if i < 0 {
		return oidcclient.Tokens{}, fmt.Errorf("%w: sso: they are gone", flows.ErrSignOnAgain)
	}
	kept := all[i]
	t, err := k.open(kept)
	if err != nil {
		return oidcclient.Tokens{}, err
	}
	now := k.cfg.Now()
	if t.Access != "" && (t.Expires.IsZero() || now.Add(refreshBefore).Before(t.Expires)) {
		return t, nil
	}
	mark := fmt.Sprintf("refresh/%s/%d", kept.ID, kept.Version) // what was refreshed has another
	if err := k.cfg.Marks.TakeMark(ctx, mark, rand.Text(), now, now.Add(refreshLease)); err != nil {
		return oidcclient.Tokens{}, fmt.Errorf("%w: sso: somebody else refreshes them: %w", flows.ErrUnavailable, err)
	}
	return k.refresh(ctx, p, kept, t, heir)
}

func (k *Keeper) refresh(ctx context.Context, p Provider, kept flows.Kept, old oidcclient.Tokens, heir string) (oidcclient.Tokens, error) {
	t, err := p.Client.Refresh(ctx, old)
	if errors.Is(err, oidcclient.ErrRefused) { // spent, or taken by somebody: the provider has ended them all
		return t, errors.Join(fmt.Errorf("%w: sso: %w", flows.ErrSignOnAgain, err), k.drop(ctx, kept, flows.EventTokensLost))
	}
	if err != nil {
		return t, fmt.Errorf("%w: sso: %w", flows.ErrUnavailable, err)
	}
	if kept.Data, err = k.seal(kept, t); err != nil {
		return t, err
	}
	kept.Version++
	if err := k.cfg.Kept.UpdateKept(ctx, kept); err != nil { // moved meanwhile, by the run that completes
		if err := k.put(ctx, kept, heir); err != nil {
			return t, fmt.Errorf("%w: sso: tokens: %w", flows.ErrUnavailable, err)
		}
	}
	return t, nil
}

// put stores what was refreshed over what somebody has moved in the meantime, to the
// session that is its heir or to nobody: what they hold is spent.
func (k *Keeper) put(ctx context.Context, fresh flows.Kept, heir string) error {
	moved, err := k.cfg.Kept.KeptBy(ctx, heir)
	if err != nil {
		return err
	}
	forsaken, err := k.cfg.Kept.Forsaken(ctx, k.cfg.Now(), flows.ForsakenAhead)
	if err != nil {
		return err
	}
	moved = append(moved, forsaken...)
	if i := slices.IndexFunc(moved, func(one flows.Kept) bool { return one.ID == fresh.ID }); i >= 0 {
		fresh.Owner, fresh.Until, fresh.Version = moved[i].Owner, moved[i].Until, moved[i].Version+1
		return k.cfg.Kept.UpdateKept(ctx, fresh)
	}
	return flows.ErrConflict
}

func (k *Keeper) open(kept flows.Kept) (oidcclient.Tokens, error) {
	var t oidcclient.Tokens
	plain, err := k.cfg.Sealer.Open(kept.Data, flows.KeptAAD(kept))
	if err != nil {
		return t, fmt.Errorf("sso: unseal tokens: %w", err)
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return t, errors.New("sso: tokens cannot be read")
	}
	return t, nil
}

func (k *Keeper) seal(kept flows.Kept, t oidcclient.Tokens) ([]byte, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return nil, errors.New("sso: tokens cannot be written")
	}
	return k.cfg.Sealer.Seal(plain, flows.KeptAAD(kept))
}

// drop forgets what is of no more use, once that is recorded.
func (k *Keeper) drop(ctx context.Context, kept flows.Kept, why string) error {
	event := flows.Event{ID: fmt.Sprintf("%s.%s", kept.ID, why), Time: k.cfg.Now().UTC(), Type: why, Step: kept.Provider}
	if err := k.cfg.Recorder.Record(ctx, event); err != nil {
		return fmt.Errorf("%w: audit: %w", flows.ErrUnavailable, err)
	}
	return k.cfg.Kept.DeleteKept(ctx, kept.ID)
}

// Depart implements [flows.Departures]: the first provider that the session rests on
// and that people are led to.
func (k *Keeper) Depart(ctx context.Context, s flows.Session, client flowdefs.Client) (*flows.Departure, error) {
	for _, e := range s.Evidence {
		if e.Upstream == nil || e.Upstream.Provider == "" {
			continue
		}
		p, err := k.cfg.Find(e.Upstream.Provider)
		if err != nil || !p.SignsOut {
			continue
		}
		t := oidcclient.Tokens{Subject: e.Upstream.Subject}
		if kept, err := k.find(ctx, p.Name, s.ID); err == nil {
			if t, err = k.open(kept); err != nil {
				return nil, err
			}
		}
		limited, cancel := context.WithTimeout(ctx, departLimit)
		defer cancel()
		address, state, err := p.Client.EndSession(limited, t, client.SignedOutURI)
		if err != nil || address == "" {
			return nil, err
		}
		return &flows.Departure{EndSessionURI: address, State: state}, nil
	}
	return nil, nil //nolint:nilnil // there is nowhere to go
}

const departLimit = 3 * time.Second // signing out here does not wait for it
