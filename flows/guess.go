package flows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Guesses bounds the wrong answers that come from one network, from the runs of one
// client and from one device, whomever they are about: who tries one password on
// every account stays under the limit of each. The zero value has no limits.
type Guesses struct {
	PerNetwork int           // 0: no limit
	PerClient  int           // 0: no limit; anybody can spend what a public client may
	PerDevice  int           // of the runs of one key; 0: no limit; anybody can make another key, but for one that is bound
	Window     time.Duration // that all are for; default an hour
}

// guess takes one answer from the budgets before it is checked, or none and says
// when there is one again. Proofs that nobody can guess cost nothing: a budget that
// strangers have spent keeps nobody from a passkey or a bound phone.
func (x *exchange) guess(ctx context.Context) error {
	g := x.e.cfg.Guesses
	for _, budget := range []struct {
		what, of string
		most     int
	}{{"network", x.c.Network, g.PerNetwork}, {"client", x.r.Client, g.PerClient}, {"device", x.r.Key, g.PerDevice}} {
		if budget.most <= 0 || budget.of == "" {
			continue
		}
		key := fmt.Sprintf("%x", x.e.keyed("guesses\x00"+budget.what+"\x00"+budget.of))
		held, err := x.countFor(ctx, key, budget.most, g.Window)
		if err == nil && held.IsZero() {
			x.guesses = append(x.guesses, key)
			continue
		}
		if err == nil {
			x.e.cfg.Logger.Warn("too many wrong answers", zap.String("of one", budget.what), zap.String("client", x.r.Client))
			err = &Problem{Kind: KindThrottled, Code: CodeThrottled, Detail: "Too many attempts.", RetryAfter: held.Sub(x.w.now)}
		}
		return errors.Join(err, x.unguess(ctx))
	}
	return nil
}

// unguess gives back what an answer cost that was not a wrong one.
func (x *exchange) unguess(ctx context.Context) error {
	taken := x.guesses
	x.guesses = nil
	return x.refund(context.WithoutCancel(ctx), taken)
}
