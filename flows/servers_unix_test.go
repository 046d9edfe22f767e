//go:build unix

package flows_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/redis"
	"github.com/stile-auth/stile/flows/store/servertest"
)

// stores are all stores, and what is combined of them.
var stores = func() map[string]func(testing.TB, cleaner) ports {
	all := maps.Clone(embedded)
	all["postgres"] = func(t testing.TB, c cleaner) ports { return openPostgres(t, c) }
	all["postgres and redis"] = func(t testing.TB, c cleaner) ports {
		s, r := openPostgres(t, c), openRedis(t, c)
		return divided{r, s, s, divideds{r, r}, s}
	}
	all["postgres, and redis for runs"] = func(t testing.TB, c cleaner) ports {
		s, r := openPostgres(t, c), openRedis(t, c)
		return divided{r, s, s, divideds{s, s}, s}
	}
	return all
}()

// divided is a store in two places.
type divided struct {
	flows.Store
	flows.Texts
	flows.Sessions
	divideds
	flows.Recorder
}

type divideds struct {
	flows.Throttle
	flows.Marks
}

// spare are databases that were emptied after their test: making one takes longer than most tests.
var spare struct {
	sync.Mutex
	stores []spareStore
}

type spareStore struct {
	*postgres.Store
	database string
}

func openPostgres(t testing.TB, c cleaner) *postgres.Store {
	t.Helper()
	server := servertest.Postgres(t)
	spare.Lock()
	defer spare.Unlock()
	var s spareStore
	if n := len(spare.stores); n > 0 {
		s, spare.stores = spare.stores[n-1], spare.stores[:n-1]
	} else {
		s = newPostgres(t, server)
	}
	c.Cleanup(func() {
		server.Empty(t, s.database)
		spare.Lock()
		defer spare.Unlock()
		spare.stores = append(spare.stores, s)
	})
	return s.Store
}

// newPostgres opens a store that stays open as long as the process lasts, as its server does.
func newPostgres(t testing.TB, server *servertest.PostgresServer) spareStore {
	t.Helper()
	name, err := server.Template(context.Background(), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(context.Background(), postgres.Config{URL: server.URL(name), Connections: 8, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return spareStore{s, name}
}

var prefixes atomic.Int64

func openRedis(t testing.TB, c cleaner) *redis.Store {
	t.Helper()
	s, err := redis.Open(context.Background(), redis.Config{
		Addresses: []string{servertest.Redis(t).Address()}, Prefix: fmt.Sprintf("%d:", prefixes.Add(1)), Timeout: 20 * time.Second,
		Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Cleanup(func() { _ = s.Close() })
	return s
}
