package account_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

// More than wait already are turned away at once: nothing was checked, and
// nobody is let in.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		salt := make(gate)
		h := newHasher(t, account.HasherConfig{MaxConcurrent: 1, MaxQueue: 3, MaxWait: time.Hour, Rand: salt})
		hash := "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		results := make(chan error, 4)
		for range 4 { // one is computed, three wait
			go func() {
				_, err := h.Hash(t.Context(), "x")
				results <- err
			}()
			synctest.Wait()
		}
		begin := time.Now()
		for range 100 {
			if err := h.Verify(t.Context(), hash, "x"); !errors.Is(err, account.ErrBusy) {
				t.Fatalf("error %v, want ErrBusy", err)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("waited %v to be turned away", waited)
		}
		close(salt)
		for range 4 {
			if err := <-results; err != nil {
				t.Errorf("who waited: %v", err)
			}
		}
		if err := h.Verify(t.Context(), hash, "x"); !errors.Is(err, account.ErrWrong) {
			t.Errorf("afterwards: %v, want ErrWrong", err)
		}
	})
}

// Hashes that need much memory wait for one another, however many may be
// computed at once; one that needs more than there is gets all of it.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		salt := make(gate)
		h := newHasher(t, account.HasherConfig{
			Params: account.Params{Memory: 64, Time: 1, Threads: 1}, MaxConcurrent: 8, MaxMemory: 100, MaxWait: time.Second, Rand: salt,
		})
		first := make(chan error, 1)
		go func() {
			_, err := h.Hash(t.Context(), "x")
			first <- err
		}()
		synctest.Wait()
		if err := h.VerifyDummy(t.Context(), "x"); !errors.Is(err, account.ErrBusy) {
			t.Errorf("two of 64 KiB in 100: %v, want ErrBusy", err)
		}
		close(salt)
		if err := <-first; err != nil {
			t.Error(err)
		}
		large := "$argon2id$v=19$m=1024,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		if err := h.Verify(t.Context(), large, "x"); !errors.Is(err, account.ErrWrong) {
			t.Errorf("one of 1024 KiB in 100: %v, want ErrWrong", err)
		}
	})
}
