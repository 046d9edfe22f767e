package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows"
)

const (
	farewellAtOnce  = 100
	farewellLease   = 20 * time.Second // longer than a relying party may take
	farewellLimit   = 5 * time.Second
	farewellFirst   = 30 * time.Second // before it is told again
	farewellSlowest = time.Hour
	farewellTries   = 55 // about two days
	farewellBody    = 64 << 10
)

// FarewellConfig is what a Farewell needs. All fields are required.
type FarewellConfig struct {
	Find     func(ctx context.Context, id string) (flows.Found, error) // as [flows.Engine.OwnClient]
	Sign     func(ctx context.Context, client, subject, session string, now time.Time) (string, error)
	Kept     flows.Leftovers
	Marks    flows.Marks
	Sealer   flows.Sealer
	Recorder flows.Recorder
	Via      http.RoundTripper // connects only to where relying parties may be
	Now      func() time.Time
}

// Farewell tells relying parties that sessions have ended on which they got tokens
// (OpenID Connect Back-Channel Logout 1.0 §2.5). What is to be told is in the store: it is told by
// any node, again if that fails, for about two days, and perhaps twice. Safe for concurrent use.
type Farewell struct {
	cfg    FarewellConfig
	client *http.Client
}

// NewFarewell makes one.
func NewFarewell(cfg FarewellConfig) (*Farewell, error) {
	if cfg.Find == nil || cfg.Sign == nil || cfg.Kept == nil || cfg.Marks == nil || cfg.Sealer == nil || cfg.Recorder == nil || cfg.Via == nil || cfg.Now == nil {
		return nil, errors.New("provider: a field of the configuration of farewells is missing")
	}
	return &Farewell{cfg, &http.Client{
		Transport: cfg.Via, Timeout: farewellLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a logout token goes where the definitions say
	}}, nil
}

// Tell tells some of them, and returns how many are done with. Each relying party is told
// by itself, one session after the other: one that is slow holds up nobody else.
func (f *Farewell) Tell(ctx context.Context) (int, error) {
	all, err := f.cfg.Kept.Forsaken(ctx, f.cfg.Now(), flows.ForsakenAhead)
	if err != nil {
		return 0, err
	}
	parties := map[string][]flows.Kept{}
	for _, k := range all {
		if id := flows.PartyOf(k); id != "" && len(parties[id]) < farewellAtOnce {
			parties[id] = append(parties[id], k)
		}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var errs []error
	done := 0
	for _, kept := range parties {
		wait.Go(func() {
			told, err := f.party(ctx, kept)
			mu.Lock()
			defer mu.Unlock()
			done, errs = done+told, append(errs, err)
		})
	}
	wait.Wait()
	return done, errors.Join(errs...)
}

// party tells one of them of several sessions. Once it has failed the rest is put off, too, and
// once it has taken its time the rest waits for the next round: all the others wait for this one's end.
func (f *Farewell) party(ctx context.Context, all []flows.Kept) (done int, err error) {
	var errs []error
	began := f.cfg.Now()
	for i, kept := range all {
		ok, err := f.one(ctx, kept)
		if ok {
			done++
		}
		errs = append(errs, err)
		if err != nil && !ok {
			for _, rest := range all[i+1:] {
				errs = append(errs, f.putOff(ctx, rest))
			}
			break
		}
		if f.cfg.Now().Sub(began) >= farewellLimit {
			break
		}
	}
	return done, errors.Join(errs...)
}

// putOff lets one wait that would fail. That counts as a try: what is due now does not become
// nobody's news because its session would have expired meanwhile.
func (f *Farewell) putOff(ctx context.Context, kept flows.Kept) error {
	now := f.cfg.Now().UTC()
	if p, err := flows.ReadParty(f.cfg.Sealer, kept); err != nil || kept.Tries == 0 && !now.Before(p.Expires) {
		return nil //nolint:nilerr // the next round drops it
	}
	kept.Tries = min(kept.Tries+1, farewellTries) // it is tried itself before it is given up
	kept.Version, kept.Until = kept.Version+1, now.Add(farewellFirst)
	if err := f.cfg.Kept.UpdateKept(ctx, kept); err != nil && !moved(err) {
		return err
	}
	return nil
}

// moved says that somebody else cares for it.
func moved(err error) bool {
	return errors.Is(err, flows.ErrConflict) || errors.Is(err, flows.ErrNotFound)
}

// one returns whether nothing is left to be done.
func (f *Farewell) one(ctx context.Context, kept flows.Kept) (bool, error) {
	now := f.cfg.Now().UTC()
	err := f.cfg.Marks.TakeMark(ctx, "farewell/"+kept.ID, rand.Text(), now, now.Add(farewellLease))
	if errors.Is(err, flows.ErrTaken) {
		return false, nil // another node does it
	}
	if err != nil {
		return false, err
	}
	p, err := flows.ReadParty(f.cfg.Sealer, kept)
	if err != nil {
		return true, errors.Join(err, f.drop(ctx, kept, p, flows.EventLogoutUntold))
	}
	if kept.Tries == 0 && !now.Before(p.Expires) { // it has expired: that was known from its beginning
		return true, f.cfg.Kept.DeleteKept(ctx, kept.ID)
	}
	found, err := f.cfg.Find(ctx, p.Client)
	if errors.Is(err, flows.ErrNotFound) || err == nil && (found.OAuth == nil || found.OAuth.BackChannel == "") {
		return true, f.cfg.Kept.DeleteKept(ctx, kept.ID) // there is nobody to be told any more
	}
	if err == nil {
		err = f.send(ctx, found.OAuth.BackChannel, p, now)
	}
	if err != nil {
		return f.later(ctx, kept, p, err)
	}
	return true, f.drop(ctx, kept, p, flows.EventLogoutTold)
}

// send posts the logout token (§2.5). Every status of 2xx means that it was taken.
func (f *Farewell) send(ctx context.Context, to string, p flows.Party, now time.Time) error {
	token, err := f.cfg.Sign(ctx, p.Client, p.Subject, p.Session, now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, farewellLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return errors.New("provider: the address cannot be requested")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "stile")
	resp, err := f.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it names the address
			err = u.Err
		}
		return fmt.Errorf("provider: client %s: logout: %w", p.Client, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, farewellBody)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("provider: client %s: logout: it answers %d", p.Client, resp.StatusCode)
	}
	return nil
}

// later puts it off, or gives up.
func (f *Farewell) later(ctx context.Context, kept flows.Kept, p flows.Party, why error) (bool, error) {
	if kept.Tries++; kept.Tries > farewellTries {
		return true, errors.Join(why, f.drop(ctx, kept, p, flows.EventLogoutUntold))
	}
	kept.Version++
	kept.Until = f.cfg.Now().Add(min(farewellFirst<<min(kept.Tries-1, 10), farewellSlowest)).UTC()
	if err := f.cfg.Kept.UpdateKept(ctx, kept); err != nil && !moved(err) {
		return false, errors.Join(why, err)
	}
	return false, why
}

// drop forgets it, once that is recorded.
func (f *Farewell) drop(ctx context.Context, kept flows.Kept, p flows.Party, what string) error {
	event := flows.Event{ID: kept.ID + "." + what, Time: f.cfg.Now().UTC(), Type: what, Client: flows.PartyOf(kept), Subject: p.Subject}
	if err := f.cfg.Recorder.Record(ctx, event); err != nil {
		return fmt.Errorf("%w: audit: %w", flows.ErrUnavailable, err)
	}
	return f.cfg.Kept.DeleteKept(ctx, kept.ID)
}
