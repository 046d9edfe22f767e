package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/redis"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

// What a node stands on, as /readyz names it.
const (
	pingStore = "store"
	pingRuns  = "runs"
)

func (b *Base) openStore(ctx context.Context, cfg config.Store) error {
	switch cfg.Type {
	case "memory":
		s := memory.New()
		b.Store, b.Accounts, b.pings = s, s.Accounts(), pingsOf(s.Ping)
		return nil
	case "postgres":
		return b.openPostgres(ctx, cfg)
	}
	if _, err := os.Stat(cfg.Path); errors.Is(err, os.ErrNotExist) {
		b.Made = append(b.Made, cfg.Path)
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: cfg.Path, Durability: cfg.Durability})
	if err != nil {
		return err
	}
	b.Store, b.Accounts, b.pings = s, s.Accounts(), pingsOf(s.Ping)
	b.closes = append(b.closes, s.Close)
	return nil
}

func pingsOf(store func(context.Context) error) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{pingStore: store}
}

func (b *Base) openPostgres(ctx context.Context, cfg config.Store) error {
	c, err := postgresOf(cfg)
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, c)
	if err != nil {
		return err
	}
	b.Store, b.Accounts, b.pings = s, s.Accounts(), pingsOf(s.Ping)
	b.closes = append(b.closes, s.Close)
	if cfg.Runs.Type != "redis" {
		return nil
	}
	r, err := openRedis(ctx, cfg.Runs)
	if err != nil {
		return err
	}
	b.pings[pingRuns] = r.Ping
	b.closes = append(b.closes, r.Close)
	b.Store = apart(b.Store, r, cfg.Runs.Keeps)
	return nil
}

func postgresOf(cfg config.Store) (postgres.Config, error) {
	password, err := optional(cfg.Password)
	return postgres.Config{
		URL: cfg.URL, Password: password, Connections: cfg.Connections, Timeout: cfg.Timeout, PgBouncer: cfg.PgBouncer,
		Durability: cfg.Durability, Manual: cfg.Migrate == "manual", InsecureNetwork: cfg.Insecure,
	}, err
}

// optional reads a secret whose place is named; "" if none is.
func optional(s config.Secret) (string, error) {
	if s.IsZero() {
		return "", nil
	}
	return s.Read()
}

func openRedis(ctx context.Context, cfg config.RunStore) (*redis.Store, error) {
	password, err1 := optional(cfg.Password)
	sentinels, err2 := optional(cfg.Sentinels)
	secured, err3 := redisTLS(cfg)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return redis.Open(ctx, redis.Config{
		Addresses: cfg.Addresses, Mode: cfg.Mode, Master: cfg.Master, Username: cfg.Username, Password: password, SentinelPassword: sentinels,
		TLS: secured, Prefix: cfg.Prefix, Timeout: cfg.Timeout, Now: time.Now,
	})
}

func redisTLS(cfg config.RunStore) (*tls.Config, error) {
	if !cfg.TLS {
		return nil, nil //nolint:nilnil // there is none
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(cfg.CA)
	if err != nil {
		return nil, fmt.Errorf("node: store.runs.ca: %w", err)
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("node: store.runs.ca: %s holds no certificate", cfg.CA)
	}
	return c, nil
}

// divided is a store of which others keep some.
type divided struct {
	flows.Store
	flows.Texts
	flows.Values
	sessions
	dividedCounters
	flows.Recorder
}

// dividedCounters are counters and marks, which may be in two places.
type dividedCounters struct {
	flows.Throttle
	flows.Marks
}

// apart is a store of which r keeps some.
func apart(s Store, r *redis.Store, keeps []string) Store {
	out := divided{Store: s, Texts: s, Values: s, sessions: s, dividedCounters: dividedCounters{Throttle: s, Marks: s}, Recorder: s}
	kept := func(word string) bool { return len(keeps) == 0 || slices.Contains(keeps, word) }
	if kept("runs") {
		out.Store = r
	}
	if kept("counters") {
		out.Throttle = r
	}
	if kept("marks") {
		out.Marks = r
	}
	return out
}

// masterName is what a node leaves in a store that others share, sealed.
const masterName = "master"

// sameMaster refuses a store whose data was sealed with another master key: a node
// that does not have the key of the others would lock their people out.
func (b *Base) sameMaster(ctx context.Context, cfg config.Config) error {
	if cfg.Store.Type != "postgres" {
		return nil
	}
	aad := []byte(masterName)
	sealed, err := b.Sealer.Seal(aad, aad)
	if err != nil {
		return err
	}
	if err := b.Store.PutValue(ctx, masterName, sealed, 1); err == nil || !errors.Is(err, flows.ErrConflict) {
		return err
	}
	if sealed, _, err = b.Store.Value(ctx, masterName); err != nil {
		return err
	}
	if _, err := b.Sealer.Open(sealed, aad); err != nil {
		return fmt.Errorf("%w: the store was sealed with another one than that in %s", ErrMasterKey, cfg.Keys.Master)
	}
	return nil
}

// Migrate brings the schema of a store up to date and says what it did. It needs
// no key. Nodes may go on meanwhile.
func Migrate(ctx context.Context, cfg config.Store) (string, error) {
	switch cfg.Type {
	case "memory":
		return "", errors.New("node: the store is memory, which has no schema")
	case "postgres":
		c, err := postgresOf(cfg)
		if err != nil {
			return "", err
		}
		from, to, err := postgres.Migrate(ctx, c)
		if err != nil {
			return "", err
		}
		if from == to {
			return fmt.Sprintf("the schema is up to date: version %d", to), nil
		}
		return fmt.Sprintf("the schema had version %d and has %d", from, to), nil
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: cfg.Path, Durability: cmp.Or(cfg.Durability, "full")})
	if err != nil {
		return "", err
	}
	return "the schema of " + cfg.Path + " is up to date", s.Close()
}
