package node

import (
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/seal"
)

// derivedPepper is the id of the pepper that is derived from the master key.
const derivedPepper = "1"

func newHasher(cfg config.Config, derived []byte) (*account.Hasher, error) {
	peppers := map[string][]byte{derivedPepper: derived}
	for id, where := range cfg.Keys.Peppers {
		key, err := pepperAt(where)
		if err != nil {
			return nil, fmt.Errorf("node: keys.peppers.%s: %w", id, err)
		}
		if _, taken := peppers[id]; taken {
			return nil, fmt.Errorf("node: keys.peppers.%s: this is the id of the pepper that is derived from the master key", id)
		}
		peppers[id] = key
	}
	id := cfg.Keys.Pepper
	if id == "" {
		id = derivedPepper
	}
	pepper := peppers[id]
	delete(peppers, id)
	h := cfg.Hashing
	return account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: uint32(h.Memory), Time: uint32(h.Time), Threads: uint8(h.Threads)}, //nolint:gosec // the limits of config.Hashing
		Pepper: pepper, PepperID: id, OldPeppers: peppers,
		MaxConcurrent: h.Concurrent, MaxMemory: uint32(h.Total), MaxQueue: h.Queue, //nolint:gosec // as above
	})
}

func pepperAt(where config.Secret) ([]byte, error) {
	if where.File != "" {
		if err := private(where.File); err != nil {
			return nil, err
		}
	}
	text, err := where.Read()
	if err != nil {
		return nil, err
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != seal.KeySize {
		return nil, fmt.Errorf("%s does not hold %d bytes in base64url", where, seal.KeySize)
	}
	return key, nil
}

// openRules opens the list of blocked passwords, if there is one.
func (b *Base) openRules(cfg config.Config) error {
	b.Rules.Words = cfg.Passwords.Words
	if u, err := url.Parse(cfg.BaseURL); err == nil && u.Hostname() != "" {
		b.Rules.Words = append(b.Rules.Words[:len(b.Rules.Words):len(b.Rules.Words)], u.Hostname())
	}
	if cfg.Passwords.Blocked == "" {
		return nil
	}
	list, err := account.OpenSortedList(cfg.Passwords.Blocked)
	if err != nil {
		return fmt.Errorf("node: passwords.blocked: %w", err)
	}
	b.Rules.Blocked = list
	b.closes = append(b.closes, list.Close)
	return nil
}
