package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/stile-auth/stile/flows"
)

// preparer is a pool of connections, or one.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// prepared keeps the statement of every query that was used once. Queries are
// constants of this package, so it does not grow.
type prepared struct {
	on    preparer
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func newPrepared(on preparer) *prepared { return &prepared{on: on, stmts: map[string]*sql.Stmt{}} }

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt := p.stmts[query]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if stmt := p.stmts[query]; stmt != nil {
		return stmt, nil
	}
	// The statement outlives the call that needs it first.
	stmt, err := p.on.PrepareContext(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil, fault(err)
	}
	p.stmts[query] = stmt
	return stmt, nil
}

// exec returns how many rows changed.
func (p *prepared) exec(ctx context.Context, query string, args ...any) (int64, error) {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, fault(err)
	}
	n, err := res.RowsAffected()
	return n, fault(err)
}

// row scans the first row; [flows.ErrNotFound] if there is none.
func (p *prepared) row(ctx context.Context, query string, args []any, dst ...any) error {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return err
	}
	err = stmt.QueryRowContext(ctx, args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return flows.ErrNotFound
	}
	return fault(err)
}

// each calls scan for every row.
func (p *prepared) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) (err error) {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return fault(err)
	}
	defer func() { err = errors.Join(err, fault(rows.Close())) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return fault(rows.Err())
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stmt := range p.stmts {
		errs = append(errs, stmt.Close())
	}
	clear(p.stmts)
	return errors.Join(errs...)
}
