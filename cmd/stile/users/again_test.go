package users_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// flaky fails once where an engine ends sessions, behind what was done.
type flaky struct {
	acts

	failed bool
	ended  int
}

func (f *flaky) Administer(ctx context.Context, a flows.Act) error {
	if err := f.acts.Administer(ctx, a); err != nil || !a.Ends {
		return err
	}
	if !f.failed {
		f.failed = true
		return errors.New("the store is busy")
	}
	f.ended++
	return nil
}

// Who takes a lost phone out of use, and is told that it did not work, does it
// again: then its sessions end.
func TestRemovalThatFailedCanBeRepeated(t *testing.T) {
	t.Parallel()
	k := withJane(t, users.Person{Password: "three quiet green hills", TOTP: true})
	f := &flaky{acts: k.acts}
	k.config.Acts = f
	if _, _, err := registrar(t, k).Remove(t.Context(), "jane", "", account.TypeTOTP); err == nil {
		t.Fatal("nothing failed")
	} else {
		t.Log("the first time: ", err, statuses(t, k)[account.TypeTOTP])
	}
	_, _, err := registrar(t, k).Remove(t.Context(), "jane", "", account.TypeTOTP)
	if err != nil || f.ended == 0 {
		t.Errorf("again: %v, sessions ended %d times", err, f.ended)
	}
}
