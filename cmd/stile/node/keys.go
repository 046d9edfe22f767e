package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/propagation"
)

// keysEvery is how often a node reads the keys. Those that have been retired are
// gone from every node that much later.
const keysEvery = 15 * time.Second

// formerKeys is the file in the data folder that held the keys before the store did.
const formerKeys = "signing.pem"

// KeyPolicy is how the keys of a configuration come and go.
func KeyPolicy(cfg config.Config) propagation.Policy {
	p := propagation.Policy{Algorithm: cfg.Keys.Algorithm, Longest: cfg.Tokens.MaxTTL}
	if cfg.Keys.Signing == "" {
		p.Every = cfg.Keys.Rotate
	}
	return p
}

// Keeper is what keeps the keys that sign tokens.
func (b *Base) Keeper(cfg config.Config) propagation.Keeper {
	if cfg.Keys.Signing != "" {
		return propagation.KeyFile(cfg.Keys.Signing)
	}
	return propagation.NewKeyStore(b.Store, b.Sealer)
}

// Keys opens the keys that sign tokens, and makes the first one if there is none.
func (b *Base) Keys(ctx context.Context, cfg config.Config, now func() time.Time) (*propagation.Keyring, error) {
	keeper := b.Keeper(cfg)
	if cfg.Keys.Signing == "" {
		if err := takeOver(ctx, keeper, filepath.Join(cfg.DataDir, formerKeys)); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(cfg.Keys.Signing); errors.Is(err, fs.ErrNotExist) {
		b.Made = append(b.Made, cfg.Keys.Signing)
	}
	return propagation.OpenKeyring(ctx, propagation.KeyringConfig{Keeper: keeper, Policy: KeyPolicy(cfg), Now: now})
}

// takeOver stores the keys of a file if there are none in the store yet: what a
// program before this one has signed goes on to be accepted.
func takeOver(ctx context.Context, keeper propagation.Keeper, path string) error {
	if _, err := keeper.Load(ctx); !errors.Is(err, propagation.ErrNoKeys) {
		return err
	}
	ring, err := propagation.KeyFile(path).Load(ctx)
	if errors.Is(err, propagation.ErrNoKeys) {
		return nil
	}
	if err != nil {
		return err
	}
	err = keeper.Store(ctx, propagation.Ring{}, ring)
	if errors.Is(err, propagation.ErrChanged) {
		return nil // another node was faster
	}
	return err
}

// refreshKeys reads the keys again and again, and rotates them when it is time.
func (n *Node) refreshKeys(ctx context.Context) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := n.keys.Refresh(ctx); err != nil && ctx.Err() == nil {
				n.opts.Logger.Error("signing keys", zap.Error(err))
			}
		}
	}
}
