package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stile-auth/stile/flows"
)

// maxBatch bounds how many writes share a transaction.
const maxBatch = 64

// writer is the only connection that writes. Writes that wait while another
// transaction is being committed are run together in the next one, each within
// a savepoint of its own; one of the waiting callers runs them all.
type writer struct {
	conn *sql.Conn
	*prepared
	turn chan struct{} // holds a token while somebody writes

	mu     sync.Mutex
	queue  []*write
	closed bool
}

// write is one caller's change.
type write struct {
	ctx      context.Context //nolint:containedctx // of the caller, looked at by the one who leads, before the change begins
	change   func(ctx context.Context, w *writer) error
	err      error
	panicked any
	done     chan struct{} // closed when err is final
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fault(err)
	}
	return &writer{conn: conn, prepared: newPrepared(conn), turn: make(chan struct{}, 1)}, nil
}

// do runs change in a transaction and returns when its outcome is durable. An
// error of change undoes the change and comes back as it is. A context that ends
// before the change has begun stops it; later it is finished all the same, so
// that the caller knows what happened. change may use the connection only, and
// must not call do.
func (w *writer) do(ctx context.Context, change func(ctx context.Context, w *writer) error) error {
	me := &write{ctx: ctx, change: change, done: make(chan struct{})}
	if err := w.enqueue(me); err != nil {
		return err
	}
	select {
	case <-me.done:
	case w.turn <- struct{}{}:
		w.lead(me)
	case <-ctx.Done():
		if w.leave(me) {
			return fault(ctx.Err())
		}
		<-me.done
	}
	if me.panicked != nil {
		panic(me.panicked)
	}
	return me.err
}

func (w *writer) enqueue(me *write) error {
	if err := me.ctx.Err(); err != nil {
		return fault(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("%w: sqlite: closed", flows.ErrUnavailable)
	}
	w.queue = append(w.queue, me)
	return nil
}

// leave takes a write out of the queue; false if it has begun.
func (w *writer) leave(me *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, me)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// lead runs batches until the leader's own write is done, then lets the next one lead.
func (w *writer) lead(me *write) {
	defer func() { <-w.turn }()
	for {
		select {
		case <-me.done:
			return
		default:
		}
		w.mu.Lock()
		n := min(len(w.queue), maxBatch)
		batch := slices.Clone(w.queue[:n])
		w.queue = slices.Delete(w.queue, 0, n)
		w.mu.Unlock()
		w.commit(batch)
	}
}

// commit runs a batch in one transaction. If that fails as a whole, every write
// of it failed: what one of them saw of the others has not happened.
func (w *writer) commit(batch []*write) {
	ctx := context.WithoutCancel(batch[0].ctx)
	if err := w.transact(ctx, batch); err != nil {
		w.abort(ctx)
		for _, one := range batch {
			if one.panicked == nil {
				one.err = err
			}
		}
	}
	for _, one := range batch {
		close(one.done)
	}
}

// abort ends the transaction, if there still is one: SQLite may have ended it itself.
func (w *writer) abort(ctx context.Context) { _, _ = w.exec(ctx, "ROLLBACK") }

func (w *writer) transact(ctx context.Context, batch []*write) error {
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, one := range batch {
		if err := w.apply(ctx, one); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, "COMMIT")
	return err
}

// apply runs one write within a savepoint. Its error is that of the whole
// transaction; the write's own one is kept in it.
func (w *writer) apply(ctx context.Context, one *write) error {
	if err := one.ctx.Err(); err != nil {
		one.err = fault(err)
		return nil
	}
	if _, err := w.exec(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	if one.err = w.attempt(ctx, one); one.err != nil {
		if _, err := w.exec(ctx, "ROLLBACK TO one"); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, "RELEASE one")
	return err
}

// attempt keeps a panic for the goroutine of its caller.
func (w *writer) attempt(ctx context.Context, one *write) (err error) {
	defer func() {
		if p := recover(); p != nil {
			one.panicked, err = p, errors.New("sqlite: panic in a write")
		}
	}()
	return one.change(ctx, w)
}

// close fails what waits, and what comes later. Closing again does nothing.
func (w *writer) close() error {
	w.mu.Lock()
	again := w.closed
	w.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	w.turn <- struct{}{} // wait for who is writing; nobody writes after it
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.queue {
		one.err = fmt.Errorf("%w: sqlite: closed", flows.ErrUnavailable)
		close(one.done)
	}
	w.queue = nil
	return errors.Join(w.prepared.close(), w.conn.Close())
}
