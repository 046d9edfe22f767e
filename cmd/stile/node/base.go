package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/audit"
	"github.com/stile-auth/stile/flows/seal"
)

// Store is what every driver offers the engine.
type Store interface {
	flows.Store
	flows.Texts
	flows.Values
	sessions
	counters
	flows.Recorder
}

type counters interface {
	flows.Throttle
	flows.Marks
}

type sessions interface {
	flows.Sessions
	flows.Leftovers
	flows.StoredClients
}

// Base is what lasts, with the keys to it: what serving needs and what
// administering without serving needs.
type Base struct {
	Store    Store
	Accounts Accounts
	Recorder flows.Recorder
	Sealer   *seal.Sealer
	Hasher   *account.Hasher
	Rules    account.PasswordRules
	Made     []string // files that did not exist before

	told   config.Delivery
	decoy  []byte
	codes  []byte
	nonces []byte

	cookies *seal.Sealer // what browsers keep for the gateway
	pings   map[string]func(context.Context) error
	closes  []func() error
}

// OpenBase opens the store and the audit trail of a configuration, and makes
// the data folder, the master key and the store if they are not there yet.
// stdout is where audit events go if they are to go there.
func OpenBase(ctx context.Context, cfg config.Config, stdout io.Writer) (*Base, error) {
	b := &Base{told: cfg.Delivery}
	if err := b.open(ctx, cfg, stdout); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Base) open(ctx context.Context, cfg config.Config, stdout io.Writer) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("node: data folder: %w", err)
	}
	master, made, err := masterKey(cfg)
	if err != nil {
		return err
	}
	if made != "" {
		b.Made = append(b.Made, made)
	}
	keys, err := derive(master)
	if err != nil {
		return err
	}
	b.Sealer, b.decoy, b.codes, b.nonces, b.cookies = keys.sealer, keys.decoy, keys.codes, keys.nonces, keys.cookies
	if b.Hasher, err = newHasher(cfg, keys.pepper); err != nil {
		return err
	}
	if err := b.openRules(cfg); err != nil {
		return err
	}
	if err := b.openStore(ctx, cfg.Store); err != nil {
		return err
	}
	if err := b.sameMaster(ctx, cfg); err != nil {
		return err
	}
	return b.openAudit(cfg.Audit, stdout)
}

func (b *Base) openAudit(cfg config.Audit, stdout io.Writer) error {
	switch cfg.To {
	case "stdout":
		b.Recorder = lines(zapcore.Lock(zapcore.AddSync(stdout)))
	case "file":
		f, err := os.OpenFile(cfg.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("node: audit: %w", err)
		}
		b.closes = append(b.closes, f.Close)
		b.Recorder = lines(zapcore.Lock(durable{f}))
	default:
		b.Recorder = b.Store
	}
	return nil
}

func lines(to zapcore.WriteSyncer) flows.Recorder {
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", MessageKey: "type", NameKey: "logger",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeName: zapcore.FullNameEncoder, LineEnding: "\n",
	})
	return audit.NewLog(zap.New(zapcore.NewCore(enc, to, zapcore.DebugLevel)))
}

// durable is a file whose lines are on the disk when Write returns: an event
// counts as recorded then.
type durable struct{ *os.File }

// Write writes and syncs.
func (d durable) Write(line []byte) (int, error) {
	n, err := d.File.Write(line)
	if err != nil {
		return n, err
	}
	return n, d.Sync()
}

// Registrar is for what administrators do to the accounts of this base. issuer is
// the name that authenticator apps show.
func (b *Base) Registrar(issuer string, now func() time.Time) (*users.Registrar, error) {
	engine, err := b.idle(now)
	if err != nil {
		return nil, err
	}
	return users.New(users.Config{
		Accounts: b.Accounts, Hasher: b.Hasher, Rules: b.Rules, Sealer: b.Sealer, Codes: b.codes,
		Recorder: b.Recorder, Acts: engine, Issuer: issuer, Now: now,
	})
}

// Pings are what this node stands on, by name, each with what says whether it can be used.
func (b *Base) Pings() map[string]func(context.Context) error { return maps.Clone(b.pings) }

// Ping reports whether all that this node stands on can be used.
func (b *Base) Ping(ctx context.Context) error {
	var errs []error
	for _, ping := range b.pings {
		errs = append(errs, ping(ctx))
	}
	return errors.Join(errs...)
}

// Close closes what was opened.
func (b *Base) Close() error {
	var errs []error
	for i := len(b.closes) - 1; i >= 0; i-- {
		errs = append(errs, b.closes[i]())
	}
	b.closes = nil
	return errors.Join(errs...)
}
