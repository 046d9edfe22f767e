package flows

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Message is something to be told to a person outside the conversation with the client.
type Message struct {
	Channel  string            `json:"channel"`      // "email" or "sms"
	To       string            `json:"to,omitempty"` // ""; nobody: a decoy, which costs what another one does
	Template string            `json:"template"`     // which text
	Locale   string            `json:"locale,omitempty"`
	Args     map[string]string `json:"args,omitempty"` // of the template; may hold a secret
	Expires  time.Time         `json:"expires"`        // when it is of no more use
}

// Outbox delivers messages. Safe for concurrent use.
type Outbox interface {
	// Put takes a message over and returns before it is delivered, so that nobody
	// learns from the time whether there was anybody to deliver it to. The same key
	// again is the same message: it comes after a crash, also from another node.
	Put(ctx context.Context, key string, m Message) error
	// Delivered says whether the message of that key was delivered, or never can be.
	Delivered(ctx context.Context, key string) (bool, error)
}

// Budget bounds the messages to one account, to one destination, of one client and
// of one device, those to one region, and all of them, within a window of time.
type Budget struct {
	PerAccount     int
	PerDestination int
	PerClient      int // 0: no limit
	PerDevice      int // of the runs of one key, whomever they are about; 0: no limit
	PerRegion      int // 0: no limit
	// Total is for the messages of the whole deployment that go to somebody; 0: no
	// limit. What is above is treated like what is above PerRegion.
	Total  int
	Window time.Duration
	// Region names where a message goes, such as a country; an error refuses it,
	// and "" has no limit. nil: all are "". What is refused, or above PerRegion, is not
	// sent, and neither client nor person is told: they would learn that there is
	// somebody to be sent to.
	Region func(m Message) (string, error)
}

func (b Budget) orDefault() Budget {
	if b.PerAccount <= 0 {
		b.PerAccount = 5
	}
	if b.PerDestination <= 0 {
		b.PerDestination = 5
	}
	if b.Window <= 0 {
		b.Window = time.Hour
	}
	return b
}

// Dispatch is what became of a message.
type Dispatch struct {
	Sent  bool      // it is on its way once the change is stored
	Again time.Time // when the client may ask for the next one; zero: not in this run
}

// Send sends a message with the change that this call is part of, if the step's
// limit and the budgets of account and destination allow it. It is for Enter of
// a step whose type says that it sends. A message to nobody is counted like any other.
func (v *Visit) Send(ctx context.Context, m Message) (Dispatch, error) {
	if v.sender == nil {
		return Dispatch{}, errors.New("flows: nothing can be sent here")
	}
	return v.sender.send(ctx, m)
}

// Sent returns what was sent on a visit outside an engine (tests of step types).
func (v *Visit) Sent() []Message {
	if o, ok := v.sender.(*outbox); ok {
		return o.sent
	}
	return nil
}

// Decoy returns 32 bytes that look random and are always the same for what was
// claimed: what unknown accounts are shown is made from them.
func (v *Visit) Decoy() []byte { return v.decoy }

// courier is who takes the messages of a visit.
type courier interface {
	send(ctx context.Context, m Message) (Dispatch, error)
}

// outbox is the courier of a visit outside an engine: it sends everything.
type outbox struct {
	sent []Message
	next time.Time
}

func (o *outbox) send(_ context.Context, m Message) (Dispatch, error) {
	o.sent = append(o.sent, m)
	return Dispatch{Sent: true, Again: o.next}, nil
}

// sender is the courier of a step that a run has arrived at.
type sender struct {
	x     *exchange
	n     *node
	quiet time.Time
}

func (s *sender) send(ctx context.Context, m Message) (Dispatch, error) {
	x := s.x
	if x.e.cfg.Outbox == nil {
		return Dispatch{}, fmt.Errorf("%w: there is no way to send messages", ErrUnavailable)
	}
	if !s.quiet.IsZero() {
		return Dispatch{Again: s.quiet}, nil
	}
	held, err := x.spend(ctx, m)
	if err != nil {
		return Dispatch{}, err
	}
	if !held.IsZero() {
		x.held = held
		x.events = append(x.events, Event{Type: EventMessageHeld, Step: s.n.def.ID})
		return Dispatch{Again: held}, nil
	}
	if err := x.restrict(ctx, &m); err != nil {
		return Dispatch{}, err
	}
	x.messages = append(x.messages, m)
	after := x.r.State.Steps[s.n.def.ID]
	after.Sent, after.SentAt = after.Sent+1, x.w.now
	left, at := s.n.sends(&State{Steps: map[string]StepState{s.n.def.ID: after}})
	if left == 0 {
		at = time.Time{}
	}
	return Dispatch{Sent: true, Again: at}, nil
}

// spend takes one message from all budgets, or from none: then it says when
// there is one again.
func (x *exchange) spend(ctx context.Context, m Message) (held time.Time, err error) {
	b, who := x.e.cfg.Budget, whose(x.r)
	to := m.To
	if to == "" {
		to = "nobody\x00" + who
	}
	var taken []string
	for _, budget := range []struct {
		key  string
		most int
	}{
		{x.e.budgetOf("account", who), b.PerAccount},
		{x.e.budgetOf(m.Channel, to), b.PerDestination},
		{x.e.budgetOf("client", x.r.Client), b.PerClient},
		{x.e.budgetOf("device", x.r.Key), x.perDevice(b.PerDevice)},
	} {
		if budget.most <= 0 {
			continue
		}
		if held, err = x.count(ctx, budget.key, budget.most); err != nil || !held.IsZero() {
			return held, errors.Join(err, x.refund(ctx, taken))
		}
		taken = append(taken, budget.key)
	}
	x.spent = append(x.spent, taken...)
	return time.Time{}, nil
}

// perDevice is what one device has; a run without a key is no device.
func (x *exchange) perDevice(most int) int {
	if x.r.Key == "" {
		return 0
	}
	return most
}

// restrict turns a message into one to nobody if it goes where none may go, or if
// too many have gone there, or altogether. Whoever has messages sent for the sake of
// the fees learns nothing, and no more does who looks for accounts: for nobody as
// much is counted, elsewhere, so that a name that is nobody's takes nothing from anybody.
func (x *exchange) restrict(ctx context.Context, m *Message) error {
	b := x.e.cfg.Budget
	region, all, refused := "", "all", error(nil)
	switch {
	case m.To == "":
		region, all = "nobody", "nobody"
	case b.Region != nil:
		region, refused = b.Region(*m)
	}
	over := refused != nil
	for _, budget := range []struct {
		what, of string
		most     int
	}{{"region", region, b.PerRegion}, {"all", all, b.Total}} {
		if over || budget.most <= 0 || budget.of == "" {
			continue
		}
		key := x.e.budgetOf(budget.what, budget.of)
		held, err := x.count(ctx, key, budget.most)
		if err != nil {
			return err
		}
		if over = !held.IsZero(); !over {
			x.spent = append(x.spent, key)
		}
	}
	if m.To != "" && over {
		m.To = ""
		x.events = append(x.events, Event{Type: EventMessageDropped, Step: x.r.State.At})
	}
	return nil
}

// unspend gives back what messages cost that will not be sent, because the
// change that sends them was not stored: who taps twice pays once.
func (x *exchange) unspend(ctx context.Context) error {
	if x.stored {
		return nil
	}
	taken := x.spent
	x.spent = nil
	return x.refund(ctx, taken)
}

// refund gives back one message to each of these budgets.
func (x *exchange) refund(ctx context.Context, taken []string) error {
	var errs []error
	for _, key := range taken {
		errs = append(errs, x.e.cfg.Throttle.Change(ctx, key, putBack))
	}
	return errors.Join(errs...)
}

func (x *exchange) count(ctx context.Context, key string, most int) (held time.Time, err error) {
	return x.countFor(ctx, key, most, x.e.cfg.Budget.Window)
}

// countFor counts one of at most so many within a window; held is when there is one again.
func (x *exchange) countFor(ctx context.Context, key string, most int, window time.Duration) (held time.Time, err error) {
	err = x.e.cfg.Throttle.Change(ctx, key, oneOfMost(x.w.now, most, window))
	var wait waitError
	if errors.As(err, &wait) {
		return wait.until, nil
	}
	return time.Time{}, err
}

func (e *Engine) budgetOf(what, of string) string {
	return fmt.Sprintf("%x", e.keyed("messages\x00"+what+"\x00"+of))
}

// oneOfMost counts one of at most so many within a window, which begins with the first.
func oneOfMost(now time.Time, most int, window time.Duration) func(Counter) (Counter, error) {
	return func(c Counter) (Counter, error) {
		if c.Expires.IsZero() || !now.Before(c.Expires) {
			c = Counter{Expires: now.Add(window)}
		}
		if c.Failures >= most {
			return c, waitError{c.Expires}
		}
		c.Failures++
		return c, nil
	}
}

// putBack undoes oneOfMost.
func putBack(c Counter) (Counter, error) {
	if c.Failures <= 1 {
		return Counter{}, nil
	}
	c.Failures--
	return c, nil
}

// handOver gives the messages of a change to the outbox. Those to nobody end
// here, and so do those that have come too late, because nobody loaded the run.
func (e *Engine) handOver(ctx context.Context, change string, messages []Message) error {
	for i, m := range messages {
		if m.To == "" || e.cfg.Outbox == nil || !e.cfg.Now().Before(m.Expires) {
			continue
		}
		if err := e.cfg.Outbox.Put(ctx, fmt.Sprintf("%s.%d", change, i), m); err != nil {
			return fmt.Errorf("%w: message: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// tooEarly is the answer to who asks for another message before it is time.
func (x *exchange) tooEarly(until time.Time) *Problem {
	return &Problem{Kind: KindThrottled, Code: CodeThrottled, Detail: "It is too early for another one.", RetryAfter: until.Sub(x.w.now)}
}

// decoyOf is what decoys are made from: it depends on what was claimed, however
// it is spelled, and not on whether anybody is there.
func (e *Engine) decoyOf(r *run) []byte { return e.keyed("decoy\x00" + named(r)) }
