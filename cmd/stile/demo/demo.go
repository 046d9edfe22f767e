package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// Options say how the story is told. Out and Now are required.
type Options struct {
	Out    io.Writer
	JSON   bool          // one JSON object a line
	Keep   bool          // after the story: leave all running until ctx is done
	Pace   time.Duration // between the lines of two steps; at most [MaxPace]
	Story  string        // "" (default): four runs of a bank's app; "step-up": RFC 9470 from end to end
	Factor string        // of the third run of the default story: "pin" (default), "code" or "biometric"
	Logger *zap.Logger   // of the server; default: nothing is logged
	Now    func() time.Time
	// Provider is where Jane signs on. Default: one that the story starts.
	Provider *Provider
	// Cut is asked before each exchange (Status is 0) and when its answer has
	// arrived; an error breaks it there. For tests. Optional.
	Cut func(app.Exchange) error
}

// MaxPace keeps the first sign-on fresh enough for the second run, whatever the audience.
const MaxPace = 5 * time.Second

// Play starts everything, plays the runs of the story, and ends everything. A step
// that goes wrong is a [*StepError]; any other error means that a part did not start or end.
func Play(ctx context.Context, opts Options) (err error) {
	if opts.Out == nil || opts.Now == nil {
		return errors.New("demo: Out and Now are required")
	}
	if opts.Factor == "" {
		opts.Factor = "pin"
	}
	if opts.Pace < 0 || opts.Pace > MaxPace {
		return fmt.Errorf("demo: the pace must be between 0 and %s", MaxPace)
	}
	if opts.Story != "" && opts.Story != storyStepUp {
		return fmt.Errorf("demo: there is no story %q", opts.Story)
	}
	if opts.Provider != nil {
		if err := opts.Provider.check(); err != nil {
			return err
		}
	}
	t := &teller{out: opts.Out, json: opts.JSON}
	defer t.pace(ctx, opts.Pace)()
	d := &director{memory: &memory{}, show: t.step}
	p, err := start(ctx, opts, func(who string, next http.RoundTripper) http.RoundTripper {
		return &app.Wire{Who: who, Next: next, Cut: func(x app.Exchange) error { return pass(d, opts, x) }}
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	t.parts(p)
	runs := p.bankRuns(opts.Factor)
	if opts.Story == storyStepUp {
		runs = p.stepUpRuns()
	}
	if err := p.play(ctx, d, t, runs); err != nil {
		t.flush()
		t.failed(err)
		return err
	}
	t.end(len(runs))
	if opts.Keep {
		t.kept(p)
		return t.codes(ctx, p, opts.Now)
	}
	return nil
}

// pass lets an exchange pass if the test does not cut it and the story goes as it should.
func pass(d *director, opts Options, x app.Exchange) error {
	if opts.Cut != nil {
		if err := opts.Cut(x); err != nil {
			return err
		}
	}
	return d.see(moment{Exchange: x, answered: x.Status != 0})
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// tale is one run of a story: how it should go, and what the app does.
type tale struct {
	scene   scene
	choice  string // what Jane picks when she may
	act     func(context.Context, *memory) error
	refused bool // it ends without a token
}

// bankRuns are the runs of the default story.
func (p *parts) bankRuns(factor string) []tale {
	return []tale{
		{scene: seventeen(p.provider.OfflineOnly), act: p.visit("/accounts", "/accounts", "accounts", false)},
		{scene: stepUp(), act: p.visit("/accounts/payments", "/payments", "payments", true)},
		{scene: everyday(factor), choice: factor, act: p.visit("/balance", "/balance", "balance", false)},
		{scene: again(), choice: "biometric", act: p.visit("/payments", "/payments", "payments", false)},
	}
}

// play plays the runs of a story.
func (p *parts) play(ctx context.Context, d *director, t *teller, runs []tale) error {
	for _, r := range runs {
		p.choice = r.choice
		d.begin(r.scene)
		t.scene(r.scene)
		if err := d.end(r.act(ctx, d.memory)); err != nil {
			return err
		}
		t.flush()
		if r.refused {
			continue
		}
		claims, err := claimsOf(d.memory.token)
		if err != nil {
			return d.end(err)
		}
		t.claims(r.scene, claims)
	}
	return nil
}

// visit is what the app does when its user wants something from the API: it
// asks, is refused, runs the flow of the target, and asks where the token is good for.
func (p *parts) visit(first, second, target string, onward bool) func(context.Context, *memory) error {
	return func(ctx context.Context, m *memory) error {
		opts, token := app.StartOptions{Target: target}, ""
		if onward {
			opts.Session, token = m.session, m.token
		}
		status, challenge, _, err := p.app.CallAPI(ctx, p.bank.URL()+first, token)
		if err != nil {
			return err
		}
		if status != http.StatusUnauthorized {
			return fmt.Errorf("the API answered %d", status)
		}
		opts.ACRValues, opts.MaxAge = challenge.ACRValues, challenge.MaxAge // RFC 9470 §4
		result, err := p.app.Run(ctx, opts)
		if err != nil {
			return err
		}
		status, _, _, err = p.app.CallAPI(ctx, p.bank.URL()+second, result.Token)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the API answered %d", status)
		}
		return err
	}
}
