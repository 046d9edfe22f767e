// Package redis keeps what does not last in Redis or Valkey: runs, counters and
// one-time marks. It is for deployments whose runs are too many, or whose nodes
// too far apart, for their database; accounts, sessions and the rest stay there.
//
// Every change is one script on one slot, so that a single server, one
// with sentinels and a cluster are alike. A run has a key; each of its aliases has
// another one, in another slot, which leads to it and means nothing unless the run lists
// the alias. What expires does so by the instant that the caller names; the server's own
// expiry comes later and only tidies up.
//
// How durable it is, the server's settings say: docs/operations.md.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// Config says where the servers are.
type Config struct {
	// Addresses of the server, of some nodes of the cluster, or of the sentinels: HOST:PORT.
	Addresses []string
	// Mode is "single" (default), "cluster" or "sentinel".
	Mode string
	// Master is the name by which sentinels know the server.
	Master string
	// Username and Password; both may be empty.
	Username, Password string
	// SentinelPassword is the one of the sentinels, if they have one.
	SentinelPassword string
	// TLS to speak to all of them; nil: none.
	TLS *tls.Config
	// Prefix begins every key. "": "stile:".
	Prefix string
	// Timeout bounds a call. 0: 2s.
	Timeout time.Duration
	// Now is the clock that the server's own expiry is counted by. Required.
	Now func() time.Time
}

// Store is an open connection. Make one with [Open] and close it with [Store.Close].
type Store struct {
	client  rueidis.Client
	prefix  string
	timeout time.Duration
	now     func() time.Time
}

var (
	_ flows.Store    = (*Store)(nil)
	_ flows.Throttle = (*Store)(nil)
	_ flows.Marks    = (*Store)(nil)
)

const defaultTimeout = 2 * time.Second

// Open connects. It refuses a server that may evict keys: an evicted mark could
// be taken a second time.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if len(cfg.Addresses) == 0 || cfg.Now == nil {
		return nil, errors.New("redis: addresses and a clock are required")
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, errors.New("redis: the prefix must have no braces: they say which slot a key is in")
	}
	timeout := cmp.Or(cfg.Timeout, defaultTimeout)
	option := rueidis.ClientOption{
		InitAddress: slices.Clone(cfg.Addresses), // the client shuffles them where they are
		Username:    cfg.Username, Password: cfg.Password, TLSConfig: cfg.TLS, ClientName: "stile",
		DisableCache: true, ConnWriteTimeout: timeout, RetryDelay: soon,
	}
	option.Dialer.Timeout = timeout
	switch cfg.Mode {
	case "", "single":
		option.ForceSingleClient = true
	case "cluster":
		option.ShuffleInit = true
	case "sentinel":
		if cfg.Master == "" {
			return nil, errors.New("redis: sentinels need the name of the master")
		}
		option.Sentinel = rueidis.SentinelOption{MasterSet: cfg.Master, Password: cfg.SentinelPassword, TLSConfig: cfg.TLS}
		option.Sentinel.Dialer.Timeout = timeout
	default:
		return nil, fmt.Errorf("redis: mode %q is not single, cluster or sentinel", cfg.Mode)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fault(err)
	}
	s := &Store{client: client, prefix: cmp.Or(cfg.Prefix, "stile:"), timeout: timeout, now: cfg.Now}
	if err := s.check(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

// soon says when a command that only reads is sent again, and that it is not any
// more after some tries: a server that is gone is unavailable at once.
func soon(attempts int, _ rueidis.Completed, _ error) time.Duration {
	if attempts > 5 {
		return -1
	}
	return time.Duration(attempts) * 10 * time.Millisecond
}

// check asks every server what it does when its memory is full.
func (s *Store) check(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for address, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return fault(err)
		}
		_, policy, _ := strings.Cut(info, "maxmemory_policy:")
		if policy, _, _ = strings.Cut(policy, "\r\n"); policy != "noeviction" && policy != "" {
			return fmt.Errorf("redis: %s has maxmemory-policy %s; it has to be noeviction, since an evicted mark could be taken twice", address, policy)
		}
	}
	return nil
}

// Close ends the use of the server. Calls that are under way finish first.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}

// Ping reports whether the server can be used.
func (s *Store) Ping(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return fault(s.client.Do(ctx, s.client.B().Ping().Build()).Error())
}

// begin bounds a call. What was begun is finished even if the caller goes away: so it is known what became of it.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("redis: %w", err)
	}
	acting, done := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	return acting, done, nil
}

// fault turns an error of the client into one of ours. A server that calls
// something an error of the program's stays a plain error; all else (not reached,
// loading, read-only, out of memory, a part of the cluster down) means that it cannot be used now.
func fault(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := rueidis.IsRedisErr(err); ok && !e.IsNil() {
		switch word, _, _ := strings.Cut(e.Error(), " "); word {
		case "ERR", "WRONGTYPE", "NOPERM", "NOSCRIPT", "CROSSSLOT", "EXECABORT":
			return fmt.Errorf("redis: %v", err)
		}
	}
	return fmt.Errorf("%w: redis: %v", flows.ErrUnavailable, err)
}

// shards is how many parts the keys are in. A part is a hash tag, so all of it
// is in one slot, with the list of what in it expires when.
const shards = 64

// kind is what a key holds: its letter in small stands in keys, and in capitals in the lists.
type kind string

const (
	aRun     kind = "r"
	aMark    kind = "m"
	aCounter kind = "c"
)

// key is where a thing is kept.
func (s *Store) key(k kind, name string) string {
	return s.part(shardOf(name)) + string(k) + ":" + name
}

// due is the list of when things of that kind expire, beside the thing of that name.
func (s *Store) due(k kind, name string) string { return s.dueOf(k, shardOf(name)) }

func (s *Store) dueOf(k kind, shard int) string { return s.part(shard) + strings.ToUpper(string(k)) }

func (s *Store) part(shard int) string { return s.prefix + "{" + strconv.Itoa(shard) + "}" }

func shardOf(name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it never fails
	return int(h.Sum32() % shards)
}

// digits is an instant at rest: twenty digits whose order is that of the instants,
// exactly. Numbers of scripts are too coarse for nanoseconds.
func digits(t time.Time) string {
	return fmt.Sprintf("%020d", uint64(atrest.Nanos(t))^(1<<63)) //nolint:gosec // the sign becomes the first bit
}

const digitsLen = 20

func instantOf(text string) (time.Time, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return atrest.Instant(int64(n ^ (1 << 63))), err //nolint:gosec // the inverse
}

// score is an instant in the lists: in microseconds, which floating-point numbers can tell.
func score(t time.Time) string { return strconv.FormatInt(atrest.Nanos(t)/1000, 10) }

const (
	slack   = time.Minute
	longest = 10 * 365 * 24 * time.Hour
)

// ttl is how long the server keeps something, in milliseconds: longer than anybody can need it.
func ttl(now, expires time.Time, more time.Duration) string {
	left := min(max(expires.Sub(now), 0), longest) + more
	return strconv.FormatInt(int64(math.Ceil(left.Seconds()*1000)), 10)
}
