package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/propagation"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the keys: one signs, all are published."`
	Rotate keysRotateCmd `cmd:"" help:"Publish a new key, which signs twenty minutes later. The first key signs at once."`
	Retire keysRetireCmd `cmd:"" help:"Remove a key. Tokens that it signed are no longer valid."`
}

// keyFlags are the flags of every command on keys.
type keyFlags struct {
	format
	File string `placeholder:"FILE" help:"Key file. Default: where the configuration has the keys."`
}

// cabinet is where the keys of a command are.
type cabinet struct {
	keeper propagation.Keeper
	policy propagation.Policy
	close  func() error
}

func (f keyFlags) open(w *world) (cabinet, error) {
	cfg, _, err := w.configuration()
	if err != nil {
		return cabinet{}, err
	}
	if f.File != "" {
		cfg.Keys.Signing = f.File
	}
	c := cabinet{policy: node.KeyPolicy(cfg), close: func() error { return nil }}
	if cfg.Keys.Signing != "" {
		c.keeper = propagation.KeyFile(cfg.Keys.Signing)
		return c, os.MkdirAll(filepath.Dir(cfg.Keys.Signing), 0o700)
	}
	return c.ofStore(w, cfg)
}

func (c cabinet) ofStore(w *world, cfg config.Config) (cabinet, error) {
	if cfg.Store.Type == "memory" {
		return c, errors.New("the configured store is memory: its keys are in the server that has it, and in no other process")
	}
	base, err := node.OpenBase(w.ctx, cfg, w.out)
	c.keeper, c.close = base.Keeper(cfg), base.Close
	return c, err
}

// change stores what edit makes of the keys, unless a node is faster: then it edits what the node has left.
func (c cabinet) change(ctx context.Context, edit func(propagation.Ring) (propagation.Ring, error)) (propagation.Ring, error) {
	for {
		old, err := c.keeper.Load(ctx)
		if err != nil && !errors.Is(err, propagation.ErrNoKeys) {
			return old, err
		}
		next, err := edit(old)
		if err != nil {
			return old, err
		}
		if err := c.keeper.Store(ctx, old, next); !errors.Is(err, propagation.ErrChanged) {
			return next, err
		}
	}
}

type keyLine struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"`
	Made      time.Time `json:"madeAt,omitzero"`
	Signs     time.Time `json:"signsFrom,omitzero"`
}

func (f keyFlags) show(w *world, ring propagation.Ring) error {
	now := w.now()
	set, err := ring.At(now)
	if err != nil {
		return err
	}
	var all []keyLine
	for _, e := range ring.Entries() {
		line := keyLine{e.ID(), e.Algorithm(), "published", e.Made.UTC(), e.Signs.UTC()}
		switch {
		case e.ID() == set.Active().ID():
			line.State = "signs"
		case e.Signs.After(now):
			line.State = "next"
		}
		all = append(all, line)
	}
	if f.json() {
		return w.printJSON(all)
	}
	for _, k := range all {
		since := ""
		if !k.Signs.IsZero() {
			since = "  from " + k.Signs.Format(time.RFC3339)
		}
		fmt.Fprintf(w.out, "%s  %-5s  %-9s%s\n", k.ID, k.Algorithm, k.State, since)
	}
	return nil
}

type keysListCmd struct{ keyFlags }

// Run lists the keys.
func (c keysListCmd) Run(w *world) (err error) {
	keys, err := c.open(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.close()) }()
	ring, err := keys.keeper.Load(w.ctx)
	if err != nil {
		return err
	}
	return c.show(w, ring)
}

type keysRotateCmd struct {
	keyFlags
	Algorithm string `enum:"ES256,EdDSA,ES384,PS256,RS256,default" default:"default" help:"One of ${enum}: what the configuration says."`
}

// Run publishes a new key, and makes the first one if there is none.
func (c keysRotateCmd) Run(w *world) (err error) {
	keys, err := c.open(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.close()) }()
	if c.Algorithm != "default" {
		keys.policy.Algorithm = c.Algorithm
	}
	key, err := keys.keeper.Generate(w.ctx, keys.policy.Algorithm)
	if err != nil {
		return err
	}
	ring, err := keys.change(w.ctx, func(old propagation.Ring) (propagation.Ring, error) {
		if len(old.Entries()) == 0 {
			return propagation.NewRing(propagation.Entry{Key: key, Made: w.now(), Signs: w.now()})
		}
		return old.Rotate(key, w.now())
	})
	if err != nil {
		return err
	}
	return c.show(w, ring)
}

type keysRetireCmd struct {
	keyFlags
	ID    string `arg:"" help:"The key's id, as listed."`
	Force bool   `help:"Also if there may be tokens of that key; if it signs, a new one signs at once. For a key that others may have."`
}

// Run removes a key.
func (c keysRetireCmd) Run(w *world) (err error) {
	keys, err := c.open(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.close()) }()
	var replacement *propagation.Key
	ring, err := keys.change(w.ctx, func(old propagation.Ring) (propagation.Ring, error) {
		if len(old.Entries()) == 0 {
			return old, propagation.ErrNoKeys
		}
		set, err := old.At(w.now())
		if err != nil {
			return old, err
		}
		if c.Force && set.Active().ID() == c.ID {
			if replacement == nil {
				if replacement, err = keys.keeper.Generate(w.ctx, set.Active().Algorithm()); err != nil {
					return old, err
				}
			}
			if old, err = old.Replace(replacement, w.now()); err != nil {
				return old, err
			}
		}
		return old.Retire(c.ID, keys.policy, w.now(), c.Force)
	})
	if errors.Is(err, propagation.ErrInUse) {
		return fmt.Errorf("%w; wait until they have expired, or use --force if somebody else has it", err)
	}
	if err != nil {
		return err
	}
	return c.show(w, ring)
}
