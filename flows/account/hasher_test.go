package account_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

// cheap are costs for tests; the real ones take 20 ms.
func cheap() account.Params { return account.Params{Memory: 8, Time: 1, Threads: 1} }

func pepper(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

func newHasher(t *testing.T, cfg account.HasherConfig) *account.Hasher {
	t.Helper()
	if cfg.Params == (account.Params{}) {
		cfg.Params = cheap()
	}
	if cfg.Pepper == nil {
		cfg.Pepper = pepper(1)
	}
	h, err := account.NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hashOf(t *testing.T, h *account.Hasher, secret string) string {
	t.Helper()
	hash, err := h.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestHasher(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	long := strings.Repeat("x", 72)
	for name, c := range map[string]struct {
		set, try string
		want     error
	}{
		"same":              {"correct horse", "correct horse", nil},
		"other":             {"correct horse", "correct horsf", account.ErrWrong},
		"letter case":       {"correct horse", "Correct horse", account.ErrWrong},
		"space at the end":  {"correct horse", "correct horse ", account.ErrWrong},
		"empty":             {"correct horse", "", account.ErrWrong},
		"NFC and NFD":       {"zo\u00eb-zo\u00eb", "zoe\u0308-zoe\u0308", nil},
		"NFD and NFC":       {"zoe\u0308-zoe\u0308", "zo\u00eb-zo\u00eb", nil},
		"compatible is not": {"\ufb01nancial", "financial", account.ErrWrong},
		"after NUL":         {"pass\x00word1", "pass\x00word2", account.ErrWrong},
		"cut at NUL":        {"pass\x00word1", "pass", account.ErrWrong},
		"73rd byte":         {long + "a", long + "b", account.ErrWrong},
		"cut at 72":         {long + "a", long, account.ErrWrong},
		"1024 bytes":        {strings.Repeat("x", 1024), strings.Repeat("x", 1024), nil},
		"1025 bytes":        {"correct horse", strings.Repeat("x", 1025), account.ErrUnfit},
		"no UTF-8":          {"correct horse", "correct horse\xff", account.ErrUnfit},
	} {
		if err := h.Verify(t.Context(), hashOf(t, h, c.set), c.try); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHashesDiffer(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	if a, b := hashOf(t, h, "correct horse"), hashOf(t, h, "correct horse"); a == b {
		t.Errorf("two hashes of one secret are the same: %s", a)
	}
	if _, err := newHasher(t, account.HasherConfig{Rand: strings.NewReader("short")}).Hash(t.Context(), "x"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestPepper(t *testing.T) {
	t.Parallel()
	hash := hashOf(t, newHasher(t, account.HasherConfig{Pepper: pepper(1)}), "74190283")
	if err := newHasher(t, account.HasherConfig{Pepper: pepper(2)}).Verify(t.Context(), hash, "74190283"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("with another pepper: %v, want ErrWrong", err)
	}
}

// A new pepper does not lock anybody out: what was made with the old one still
// verifies, and is said to be stale.
func TestPepperRotates(t *testing.T) {
	t.Parallel()
	before := newHasher(t, account.HasherConfig{Pepper: pepper(1)})
	old := hashOf(t, before, "correct horse")
	after := newHasher(t, account.HasherConfig{Pepper: pepper(2), PepperID: "2", OldPeppers: map[string][]byte{"1": pepper(1)}})
	if err := after.Verify(t.Context(), old, "correct horse"); err != nil {
		t.Errorf("a hash with the old pepper: %v", err)
	}
	if err := after.Verify(t.Context(), old, "correct horsf"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("a wrong secret: %v, want ErrWrong", err)
	}
	made := hashOf(t, after, "correct horse")
	if err := before.Verify(t.Context(), made, "correct horse"); !errors.Is(err, account.ErrHash) {
		t.Errorf("a pepper that is not there: %v, want ErrHash", err)
	}
	if !after.Stale(old) || after.Stale(made) || before.Stale(old) || !before.Stale(made) {
		t.Error("a hash is stale if and only if its pepper is not the one of new hashes")
	}
	costly := newHasher(t, account.HasherConfig{Pepper: pepper(1), Params: account.Params{Memory: 16, Time: 1, Threads: 1}})
	if !costly.Stale(old) {
		t.Error("a hash at other costs is not stale")
	}
}

func TestDefaultParams(t *testing.T) {
	t.Parallel()
	h, err := account.NewHasher(account.HasherConfig{Pepper: pepper(1)})
	if err != nil {
		t.Fatal(err)
	}
	hash := hashOf(t, h, "correct horse")
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1,keyid=MQ$") {
		t.Errorf("hash %s", hash)
	}
	if err := h.Verify(t.Context(), hash, "correct horse"); err != nil {
		t.Error(err)
	}
}

func TestNewHasherRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]account.HasherConfig{
		"no pepper":       {},
		"short pepper":    {Pepper: pepper(1)[:31]},
		"huge memory":     {Pepper: pepper(1), Params: account.Params{Memory: 1 << 30, Time: 1, Threads: 1}},
		"no passes":       {Pepper: pepper(1), Params: account.Params{Memory: 64, Threads: 1}},
		"negative wait":   {Pepper: pepper(1), MaxWait: -1},
		"negative number": {Pepper: pepper(1), MaxConcurrent: -1},
		"negative queue":  {Pepper: pepper(1), MaxQueue: -1},
		"little memory":   {Pepper: pepper(1), MaxMemory: 19455},
		"short old one":   {Pepper: pepper(1), OldPeppers: map[string][]byte{"0": pepper(2)[:31]}},
		"one id twice":    {Pepper: pepper(1), OldPeppers: map[string][]byte{"1": pepper(2)}},
		"long id":         {Pepper: pepper(1), PepperID: "123456789"},
	} {
		if _, err := account.NewHasher(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A hash from the database cannot make the process use up its memory or time.
func TestHostileHash(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	const salt, tag = "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, hash := range map[string]string{
		"empty":           "",
		"plain":           "correct horse",
		"key of nobody":   "$argon2id$v=19$m=8,t=1,p=1,keyid=Mg$" + salt + "$" + tag,
		"no key id":       "$argon2id$v=19$m=8,t=1,p=1,keyid=$" + salt + "$" + tag,
		"argon2i":         "$argon2i$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"other version":   "$argon2id$v=16$m=8,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"much memory":     "$argon2id$v=19$m=131073,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"memory overflow": "$argon2id$v=19$m=4294967304,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"many passes":     "$argon2id$v=19$m=8,t=11,p=1,keyid=MQ$" + salt + "$" + tag,
		"no pass":         "$argon2id$v=19$m=8,t=0,p=1,keyid=MQ$" + salt + "$" + tag,
		"no thread":       "$argon2id$v=19$m=8,t=1,p=0,keyid=MQ$" + salt + "$" + tag,
		"many threads":    "$argon2id$v=19$m=8192,t=1,p=200,keyid=MQ$" + salt + "$" + tag,
		"leading zero":    "$argon2id$v=19$m=08,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"trailing":        "$argon2id$v=19$m=8,t=1,p=1,keyid=MQx$" + salt + "$" + tag,
		"no salt":         "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$$" + tag,
		"short tag":       "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "$AAAA",
		"no tag":          "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "$",
		"padded":          "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "==$" + tag,
		"long":            "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "$" + strings.Repeat("A", 4000),
	} {
		if err := h.Verify(t.Context(), hash, "x"); !errors.Is(err, account.ErrHash) {
			t.Errorf("%s: %v, want ErrHash", name, err)
		}
	}
	if err := h.Verify(t.Context(), "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$"+salt+"$"+tag, "x"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("well-formed: %v, want ErrWrong", err)
	}
}

func TestVerifyDummy(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	if err := h.VerifyDummy(t.Context(), "correct horse"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("error %v, want ErrWrong", err)
	}
	if err := h.VerifyDummy(t.Context(), strings.Repeat("x", 1025)); !errors.Is(err, account.ErrUnfit) {
		t.Errorf("long secret: %v, want ErrUnfit like Verify", err)
	}
}

// The dummy does the same work: it needs as much memory, which is what argon2 costs.
func TestDummyWorks(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	h := newHasher(t, account.HasherConfig{Params: account.Params{Memory: 4096, Time: 1, Threads: 1}})
	hash := hashOf(t, h, "correct horse")
	known := allocated(func() { _ = h.Verify(t.Context(), hash, "wrong") })
	unknown := allocated(func() { _ = h.VerifyDummy(t.Context(), "wrong") })
	if known < 4<<20 || unknown < known*9/10 || unknown > known*11/10 {
		t.Errorf("%d bytes for a known account, %d for an unknown one", known, unknown)
	}
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// gate is randomness that comes when it is opened: a hash that waits for its salt keeps its turn.
type gate chan struct{}

func (g gate) Read(p []byte) (int, error) {
	<-g
	return len(p), nil
}

func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		salt := make(gate)
		h := newHasher(t, account.HasherConfig{MaxConcurrent: 2, MaxWait: time.Second, Rand: salt})
		for range 2 {
			go func() { _, _ = h.Hash(t.Context(), "x") }()
		}
		synctest.Wait()
		begin := time.Now()
		if err := h.VerifyDummy(t.Context(), "x"); !errors.Is(err, account.ErrBusy) {
			t.Errorf("error %v, want ErrBusy", err)
		}
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("waited %v, want a second", waited)
		}
		close(salt)
		synctest.Wait()
		if err := h.VerifyDummy(t.Context(), "x"); !errors.Is(err, account.ErrWrong) {
			t.Errorf("afterwards: %v, want ErrWrong", err)
		}
	})
}

func TestHasherCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newHasher(t, account.HasherConfig{})
	if err := h.VerifyDummy(ctx, "x"); !errors.Is(err, context.Canceled) || errors.Is(err, account.ErrWrong) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestCheckPIN(t *testing.T) {
	t.Parallel()
	for pin, fit := range map[string]bool{
		"740291": true, "74029135": true, "740291357218": true,
		"74029": false, "7402913572181": false, "74029a": false, " 740291": false, "٧٤٠٢٩١": false, "": false, "-740291": false,
		"111111": false, "123456": false, "654321": false, "789012": false, "210987": false,
		"121212": false, "123123": false, "12341234": false, "112112": false,
	} {
		if err := account.CheckPIN(pin); (err == nil) != fit || (err != nil && !errors.Is(err, account.ErrUnfit)) {
			t.Errorf("%q: %v", pin, err)
		}
	}
}
