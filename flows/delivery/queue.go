package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows"
)

const (
	lease    = 2 * time.Minute  // how long a node has for one try before another may
	patience = 30 * time.Second // for one try
	slowest  = 30 * time.Second // between tries
	keep     = time.Hour        // how long it is known that a message was sent, beyond its use
)

// Config is what a Queue needs. All fields are required unless a default is named.
type Config struct {
	Sender   Sender
	Texts    *Texts
	Marks    flows.Marks
	Logger   *zap.Logger
	Now      func() time.Time
	Workers  int // default 4
	Capacity int // messages that are here at most: waiting, on their way, and to be tried again; default 1024
}

// Queue is an outbox that sends in the background. Safe for concurrent use.
type Queue struct {
	cfg     Config
	entries chan *entry
	room    chan struct{}      // one for each message that is here, also those that are to be tried again
	stop    context.CancelFunc // of waiting and sending
	closed  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	here    map[string]bool // the keys of the messages that are here
	workers sync.WaitGroup
	waiting sync.WaitGroup // entries that are to be tried again
}

var _ flows.Outbox = (*Queue)(nil)

// entry is one message on its way.
type entry struct {
	key   string
	owner string // of its mark
	m     flows.Message
	tries int
	taken bool // somebody else sends it, or has
}

// New starts a queue, which works until it is closed or ctx is done.
func New(ctx context.Context, cfg Config) (*Queue, error) {
	if cfg.Sender == nil || cfg.Texts == nil || cfg.Marks == nil || cfg.Logger == nil || cfg.Now == nil {
		return nil, errors.New("delivery: Sender, Texts, Marks, Logger and Now are required")
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 4
	}
	if cfg.Capacity <= 0 {
		cfg.Capacity = 1024
	}
	ctx, stop := context.WithCancel(ctx)
	q := &Queue{cfg: cfg, entries: make(chan *entry, cfg.Capacity), room: make(chan struct{}, cfg.Capacity), stop: stop, closed: make(chan struct{}), here: map[string]bool{}}
	for range cfg.Workers {
		q.workers.Go(func() { q.work(ctx) })
	}
	return q, nil
}

// Put takes a message over, unless it is here already. With as many waiting as
// there may be it is [flows.ErrUnavailable]: the run still has it.
func (q *Queue) Put(_ context.Context, key string, m flows.Message) error {
	select {
	case <-q.closed:
		return fmt.Errorf("%w: the outbox is closed", flows.ErrUnavailable)
	default:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.here[key] {
		return nil
	}
	select {
	case q.room <- struct{}{}:
		q.here[key] = true
		q.entries <- &entry{key: key, owner: rand.Text(), m: m} // there is room: it never waits
		return nil
	default:
		return fmt.Errorf("%w: the outbox is full", flows.ErrUnavailable)
	}
}

// leave makes room: nothing more is to be done for a message here.
func (q *Queue) leave(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.here, e.key)
	<-q.room
}

// Delivered implements [flows.Outbox]. A mark that is taken for no time tells
// whether somebody has it, and leaves it as it was.
func (q *Queue) Delivered(ctx context.Context, key string) (bool, error) {
	now := q.cfg.Now()
	err := q.cfg.Marks.TakeMark(ctx, doneMark(key), rand.Text(), now, now)
	if errors.Is(err, flows.ErrTaken) {
		return true, nil
	}
	return false, err
}

// doneMark is held from when a message was delivered, or was refused for good.
func doneMark(key string) string { return "delivered/" + key }

// Close takes no more messages and sends those that wait, until ctx is done. What
// is left then stays in its run, for whoever loads it next.
func (q *Queue) Close(ctx context.Context) error {
	q.once.Do(func() { close(q.closed) })
	done := make(chan struct{})
	go func() { q.workers.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	q.stop()
	<-done
	q.waiting.Wait()
	return ctx.Err()
}

// work sends until the queue is closed and empty, or ctx is done.
func (q *Queue) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-q.entries:
			q.try(ctx, e)
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return
		case e := <-q.entries:
			q.try(ctx, e)
		case <-q.closed:
			if len(q.entries) == 0 {
				return
			}
		}
	}
}

// try sends a message, or sees to it that it is tried again.
func (q *Queue) try(ctx context.Context, e *entry) {
	now := q.cfg.Now()
	if !now.Before(e.m.Expires) {
		q.leave(e)
		if e.taken {
			return
		}
		q.cfg.Logger.Warn("message not sent in time", zap.String("message", e.key), zap.Int("tries", e.tries))
		return
	}
	mark := "message/" + e.key
	err := q.cfg.Marks.TakeMark(ctx, mark, e.owner, now, now.Add(lease))
	if errors.Is(err, flows.ErrTaken) { // somebody sends it, or has; if they die over it, it is tried again
		e.taken = true
		if done, err := q.Delivered(ctx, e.key); err == nil && done {
			q.leave(e)
			return
		}
		q.later(ctx, e, lease)
		return
	}
	e.taken = false
	if err == nil {
		err = q.send(ctx, e)
	}
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		if err != nil {
			q.cfg.Logger.Error("message refused", zap.String("message", e.key), zap.Error(err))
		}
		now := q.cfg.Now()
		for _, m := range []string{mark, doneMark(e.key)} {
			if err := q.cfg.Marks.TakeMark(ctx, m, e.owner, now, e.m.Expires.Add(keep)); err != nil {
				q.cfg.Logger.Warn("message not marked as sent", zap.String("message", e.key), zap.Error(err))
			}
		}
		q.leave(e)
	default:
		e.tries++
		q.cfg.Logger.Warn("message not sent", zap.String("message", e.key), zap.Int("tries", e.tries), zap.Error(err))
		q.later(ctx, e, min(time.Second<<min(e.tries-1, 10), slowest))
	}
}

func (q *Queue) send(ctx context.Context, e *entry) error {
	mail, err := q.cfg.Texts.render(e.key, e.m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return q.cfg.Sender.Send(ctx, mail)
}

// later puts an entry back after a while; a queue that is closed lets it go.
func (q *Queue) later(ctx context.Context, e *entry, after time.Duration) {
	q.waiting.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-q.closed:
		case <-timer.C:
			select {
			case q.entries <- e:
			case <-ctx.Done():
			}
		}
	})
}
