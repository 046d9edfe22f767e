package account

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	defaultMemory = 256 * 1024 // KiB
	queuePerTurn  = 64
	defaultWait   = 2 * time.Second
)

// cores is how much can be computed at once, before anybody has made room.
//
//nolint:gochecknoglobals // a fact about the process
var cores = runtime.GOMAXPROCS(0)

//nolint:gochecknoglobals // the process has one scheduler
var (
	room   sync.Once
	places atomic.Int64 // that [MakeRoom] has asked for
)

// MakeRoom lets goroutines run beside the hashes of a [Hasher]: without it a
// hash, whatever the priority of its thread, holds one of the places in which Go
// runs code until its time is over. A server says it once; the room is made with
// the first hash, since each place takes memory.
func MakeRoom(concurrent int) {
	if concurrent == 0 {
		concurrent = cores
	}
	places.Store(int64(concurrent))
}

// makeRoom makes the room that was asked for, once.
func makeRoom() {
	if n := int(places.Load()); n > 0 {
		room.Do(func() { runtime.GOMAXPROCS(cores + n) })
	}
}

// turns bounds the hashes that are computed at once, in number and in memory,
// and the calls that wait for it: a storm of guesses gets its share of the
// machine and no more. Safe for concurrent use.
type turns struct {
	number   *semaphore.Weighted
	memory   *semaphore.Weighted
	budget   int64 // KiB
	waiting  atomic.Int64
	maxQueue int64
	maxWait  time.Duration
}

func newTurns(cfg HasherConfig) (*turns, error) {
	if cfg.MaxConcurrent < 0 || cfg.MaxQueue < 0 || cfg.MaxWait < 0 {
		return nil, errors.New("account: negative MaxConcurrent, MaxQueue or MaxWait")
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = cores
	}
	if cfg.MaxQueue == 0 {
		cfg.MaxQueue = queuePerTurn * cfg.MaxConcurrent
	}
	if cfg.MaxMemory == 0 {
		cfg.MaxMemory = defaultMemory
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = defaultWait
	}
	if cfg.MaxMemory < cfg.Params.Memory {
		return nil, errors.New("account: MaxMemory is less than one hash needs")
	}
	return &turns{
		number: semaphore.NewWeighted(int64(cfg.MaxConcurrent)), memory: semaphore.NewWeighted(int64(cfg.MaxMemory)),
		budget: int64(cfg.MaxMemory), maxQueue: int64(cfg.MaxQueue), maxWait: cfg.MaxWait,
	}, nil
}

// take waits for a turn and for the memory that the hash needs. [ErrBusy] at
// once if too many wait already, or after MaxWait.
func (t *turns) take(ctx context.Context, memory uint32) error {
	if t.waiting.Add(1) > t.maxQueue {
		t.waiting.Add(-1)
		return ErrBusy
	}
	defer t.waiting.Add(-1)
	waiting, cancel := context.WithTimeout(ctx, t.maxWait)
	defer cancel()
	if t.number.Acquire(waiting, 1) == nil {
		if t.memory.Acquire(waiting, t.need(memory)) == nil {
			return nil
		}
		t.number.Release(1)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("account: waiting for a turn: %w", err)
	}
	return ErrBusy
}

func (t *turns) giveBack(memory uint32) {
	t.memory.Release(t.need(memory))
	t.number.Release(1)
}

// need is what a hash takes of the budget: all of it, if the hash needs more.
// Then it is computed alone.
func (t *turns) need(memory uint32) int64 { return min(int64(memory), t.budget) }
