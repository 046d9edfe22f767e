package password_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/password"
)

// hasty finds some other way to say no to somebody who is not there.
type hasty struct {
	*account.Hasher
	dummy func(ctx context.Context, secret string) error
}

func (h hasty) VerifyDummy(ctx context.Context, secret string) error { return h.dummy(ctx, secret) }

// costly is a hasher whose work can be told from everything around it.
func costly(t *testing.T, memory uint32) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: memory, Time: 2, Threads: 1}, Pepper: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// How long a refusal takes does not tell whether there is an account. The test
// looks at ranks, and takes its samples in turns: a machine that is busy with
// other things disturbs all of them alike. It must catch a step that leaves the
// work out, and one that does an eighth of it.
func TestTimeTellsNothing(t *testing.T) { //nolint:paralleltest // it measures time
	h := costly(t, 1024)
	eighth := costly(t, 128)
	known := jane(t, h, nil)
	gone := jane(t, h, func(a *account.Authenticator) { a.Status = account.Disabled })
	no := func(context.Context, string) error { return account.ErrWrong }
	refuse := func(s flows.Step, subject string) func() {
		return func() {
			out, err := play(t, s, visit(subject), `{"password":"wrong"}`)
			if _, rejected := out.Rejected(); err != nil || !rejected {
				t.Fatalf("%+v, %v", out, err)
			}
		}
	}
	step := func(as password.Authenticators, h password.Hasher) flows.Step { return newStep(t, as, h) }
	took := interleaved(150, map[string]func(){
		"known":     refuse(step(known, h), subject),
		"unknown":   refuse(step(known, h), ""),
		"disabled":  refuse(step(gone, h), subject),
		"nothing":   refuse(step(known, hasty{h, no}), ""),
		"an eighth": refuse(step(known, hasty{h, eighth.VerifyDummy}), ""),
	})
	// Chance alone moves the odds by 0.033 (one standard deviation at 150 samples each).
	const alike, different = 0.17, 0.25
	for name, faulty := range map[string]bool{"unknown": false, "disabled": false, "nothing": true, "an eighth": true} {
		off := math.Abs(odds(took["known"], took[name]) - 0.5)
		t.Logf("known and %s: %.3f", name, off)
		if !faulty && off > alike {
			t.Errorf("%s can be told from known by its time: the odds are off by %.3f", name, off)
		}
		if faulty && off < different {
			t.Errorf("a step that does %s of the work is not caught: the odds are off by %.3f", name, off)
		}
	}
}

// interleaved measures each of some things n times, in an order that changes.
func interleaved(n int, things map[string]func()) map[string][]time.Duration {
	names := make([]string, 0, len(things))
	for name := range things {
		names = append(names, name)
	}
	slices.Sort(names)
	order := rand.New(rand.NewPCG(1, 2))
	took := map[string][]time.Duration{}
	for range n {
		order.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			began := time.Now()
			things[name]()
			took[name] = append(took[name], time.Since(began))
		}
	}
	return took
}

// odds is how often one of a takes longer than one of b: the statistic of Mann
// and Whitney, as a part of all pairs. One half says that neither does.
func odds(a, b []time.Duration) float64 {
	longer := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				longer++
			case x == y:
				longer += 0.5
			}
		}
	}
	return longer / float64(len(a)*len(b))
}
