package sso

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
)

const (
	exchangeLimit = 15 * time.Second         // of one exchange
	flightLife    = 20 * time.Second         // longer than an exchange can take
	spentLife     = requestLife + flightLife // longer than a request is good
)

// exchange trades the code, once in the life of its request. Three marks see to
// that, none of which even the same request may take again:
//
//	flight  an exchange may be under way; whoever finds it taken waits
//	spent   a code may have been sent; whoever finds it taken sends none
//	failed  the exchange that was under way is not any more
//
// A node that dies leaves flight and spent; when flight has expired, the next
// answer finds spent, and gets a fresh request.
func (s *step) exchange(ctx context.Context, v *flows.Visit, p Provider, r oidcclient.Request, code oidcclient.Code) (flows.Outcome, error) {
	m := marks{v, markName(r)}
	err := m.begin(ctx)
	if errors.Is(err, errOver) {
		return s.refuse(ctx, v, p, "spent")
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	out, err := s.redeem(ctx, v, p, r, code)
	if err != nil {
		return flows.Outcome{}, errors.Join(err, m.fail(ctx))
	}
	return out, nil
}

func (s *step) redeem(ctx context.Context, v *flows.Visit, p Provider, r oidcclient.Request, code oidcclient.Code) (flows.Outcome, error) {
	limited, cancel := context.WithTimeout(ctx, exchangeLimit)
	defer cancel()
	id, err := p.Client.Redeem(limited, r, code)
	if errors.Is(err, oidcclient.ErrAlgorithm) { // of the configuration, and of nobody's doing
		return s.refuse(ctx, v, p, "algorithm")
	}
	if errors.Is(err, oidcclient.ErrRefused) {
		return s.refuse(ctx, v, p, "refused")
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: sso: %w", flows.ErrUnavailable, err)
	}
	return s.pass(ctx, v, p, id)
}

// errOver reports an exchange that has come to nothing.
var errOver = errors.New("sso: the code was sent before")

// marks are the one-time marks of one authorization request.
type marks struct {
	visit *flows.Visit
	name  string
}

// markName names a request without telling its state.
func markName(r oidcclient.Request) string {
	sum := sha256.Sum256([]byte(r.State))
	return "sso/" + hex.EncodeToString(sum[:16])
}

// begin returns nil to the one who may send the code, [flows.ErrTaken] while
// somebody else may be doing it, and errOver afterwards.
func (m marks) begin(ctx context.Context) error {
	err := m.take(ctx, "flight", flightLife)
	if errors.Is(err, flows.ErrTaken) {
		// A mark that has expired shows whether another is there, and is none: also
		// to a request whose clock is behind.
		if look := m.take(ctx, "failed", -flightLife); errors.Is(look, flows.ErrTaken) {
			return errOver
		} else if look != nil {
			return look
		}
		return err
	}
	if err != nil {
		return err
	}
	err = m.take(ctx, "spent", spentLife)
	if errors.Is(err, flows.ErrTaken) {
		return errOver
	}
	return err
}

// fail says that the exchange is over.
func (m marks) fail(ctx context.Context) error { return m.take(ctx, "failed", flightLife) }

func (m marks) take(ctx context.Context, kind string, life time.Duration) error {
	return m.visit.Once(ctx, m.name+"/"+kind, life, true)
}
