package sso

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows"
)

const (
	revokeAtOnce  = 50
	revokeLease   = time.Minute // longer than a provider takes
	revokeLimit   = 20 * time.Second
	revokeFirst   = time.Minute // before it is told again
	revokeSlowest = time.Hour
	revokeTries   = 60 // about two days
)

// Revoke has the tokens of sessions that have ended revoked at their providers (RFC 7009),
// some at a time, and returns how many are done with. What cannot be told is told
// again later, for about two days; any node may.
func (k *Keeper) Revoke(ctx context.Context) (int, error) {
	all, err := k.cfg.Kept.Forsaken(ctx, k.cfg.Now(), flows.ForsakenAhead)
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(kept flows.Kept) bool { return flows.PartyOf(kept) != "" }) // they are told, and have no tokens
	all = all[:min(len(all), revokeAtOnce)]
	var errs []error
	n := 0
	for _, kept := range all {
		done, err := k.revoke(ctx, kept)
		if done {
			n++
		}
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// revoke returns whether nothing is left to be done.
func (k *Keeper) revoke(ctx context.Context, kept flows.Kept) (bool, error) {
	now := k.cfg.Now()
	err := k.cfg.Marks.TakeMark(ctx, "revoke/"+kept.ID, rand.Text(), now, now.Add(revokeLease))
	if errors.Is(err, flows.ErrTaken) {
		return false, nil // another node does it
	}
	if err != nil {
		return false, err
	}
	t, err := k.open(kept)
	if err != nil { // whoever cannot read them cannot use them
		return true, errors.Join(err, k.drop(ctx, kept, flows.EventTokensLeft))
	}
	if t.Access == "" && t.Refresh == "" { // an ID token alone
		return true, k.cfg.Kept.DeleteKept(ctx, kept.ID)
	}
	p, err := k.cfg.Find(kept.Provider)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, revokeLimit)
		defer cancel()
		if err = p.Client.Revoke(limited, t); err == nil {
			return true, k.drop(ctx, kept, flows.EventTokensRevoked)
		}
	}
	return k.later(ctx, kept, err)
}

// later puts it off, or gives up.
func (k *Keeper) later(ctx context.Context, kept flows.Kept, why error) (bool, error) {
	if kept.Tries++; kept.Tries > revokeTries {
		return true, errors.Join(why, k.drop(ctx, kept, flows.EventTokensLeft))
	}
	kept.Version++
	kept.Until = k.cfg.Now().Add(min(revokeFirst<<min(kept.Tries-1, 10), revokeSlowest)).UTC()
	return false, errors.Join(why, k.cfg.Kept.UpdateKept(ctx, kept))
}
