package account_test

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/flows/account"
)

// The secrets of RFC 6238, appendix B: as long as the hash.
func vectorSeed(algorithm string) []byte {
	n := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}[algorithm]
	return []byte(strings.Repeat("1234567890", 7)[:n])
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for algorithm, code := range map[string]string{"SHA1": v.sha1, "SHA256": v.sha256, "SHA512": v.sha512} {
			d := account.TOTPData{Algorithm: algorithm, Digits: 8, Period: 30}
			step, err := account.VerifyTOTP(d, vectorSeed(algorithm), time.Unix(v.at, 0), code)
			if err != nil || step != v.at/30 {
				t.Errorf("%s at %d: step %d, %v", algorithm, v.at, step, err)
			}
		}
	}
}

// window returns the first instant of a time step, and the codes of the steps around it by their offset.
func window(t *testing.T) (now time.Time, codes map[int]string) {
	t.Helper()
	now = time.Unix(37037036*30, 0)
	codes = map[int]string{}
	for offset := -3; offset <= 3; offset++ {
		code, err := totp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(vectorSeed("SHA1")),
			now.Add(time.Duration(offset)*30*time.Second), totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
		if err != nil {
			t.Fatal(err)
		}
		codes[offset] = code
	}
	return now, codes
}

func sixDigits() account.TOTPData {
	return account.TOTPData{Algorithm: "SHA1", Digits: 6, Period: 30}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	for drift, accepted := range map[int]map[int]bool{0: {-1: true, 0: true}, -1: {-1: true, 0: true}, 1: {-1: true, 0: true, 1: true}} {
		d := sixDigits()
		d.Drift = drift
		for offset, code := range codes {
			for _, at := range []time.Time{now, now.Add(30*time.Second - 1)} {
				step, err := account.VerifyTOTP(d, vectorSeed("SHA1"), at, code)
				if accepted[offset] && (err != nil || step != 37037036+int64(offset)) {
					t.Errorf("drift %d, offset %d: step %d, %v", drift, offset, step, err)
				}
				if !accepted[offset] && !errors.Is(err, account.ErrWrong) {
					t.Errorf("drift %d, offset %d: %v, want ErrWrong", drift, offset, err)
				}
			}
		}
	}
}

func TestVerifyTOTPRefuses(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	seed := vectorSeed("SHA1")
	for _, code := range []string{"", " " + codes[0], codes[0] + " ", codes[0][:5], codes[0] + "0", "abcdef", "０"} {
		if _, err := account.VerifyTOTP(sixDigits(), seed, now, code); !errors.Is(err, account.ErrWrong) {
			t.Errorf("code %q: %v, want ErrWrong", code, err)
		}
	}
	for name, spoil := range map[string]func(*account.TOTPData){
		"algorithm": func(d *account.TOTPData) { d.Algorithm = "MD5" },
		"digits":    func(d *account.TOTPData) { d.Digits = 0 },
		"few":       func(d *account.TOTPData) { d.Digits = 5 },
		"many":      func(d *account.TOTPData) { d.Digits = 9 },
		"period":    func(d *account.TOTPData) { d.Period = 0 },
		"long":      func(d *account.TOTPData) { d.Period = 86400 },
	} {
		d := sixDigits()
		spoil(&d)
		if _, err := account.VerifyTOTP(d, seed, now, codes[0]); err == nil || errors.Is(err, account.ErrWrong) {
			t.Errorf("%s: %v, want an error of the system", name, err)
		}
	}
	if _, err := account.VerifyTOTP(sixDigits(), seed[:8], now, codes[0]); err == nil {
		t.Error("a short seed was used")
	}
}

func TestUse(t *testing.T) {
	t.Parallel()
	d := account.TOTPData{}
	for i, c := range []struct {
		step  int64
		owner string
		want  error
	}{
		{10, "a", nil},
		{10, "a", nil}, // the same request after a crash
		{10, "b", account.ErrUsed},
		{9, "a", account.ErrUsed},
		{9, "b", account.ErrUsed},
		{11, "b", nil},
		{10, "a", account.ErrUsed},
		{11, "a", account.ErrUsed},
		{11, "b", nil},
	} {
		if err := d.Use(c.step, c.owner); !errors.Is(err, c.want) {
			t.Errorf("use %d: %v, want %v", i, err, c.want)
		}
	}
	if err := d.Use(12, ""); err == nil || d.LastStep != 11 {
		t.Errorf("without owner: %v, step %d", err, d.LastStep)
	}
}

// place is a sealer that shows what a sealed text is bound to.
type place struct{}

func (place) Seal(plain, aad []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%q|%s", aad, plain), nil
}

func (place) Open(sealed, aad []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, fmt.Appendf(nil, "%q|", aad))
	if !ok {
		return nil, errors.New("sealed for another place")
	}
	return plain, nil
}

func authenticator(t *testing.T) account.Authenticator {
	t.Helper()
	d := sixDigits()
	var err error
	if d.Seed, err = account.SealSeed(place{}, "jane", "totp-1", vectorSeed("SHA1")); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{ID: "totp-1", Subject: "jane", Type: account.TypeTOTP, Status: account.Active, Data: data}
}

func TestUseTOTP(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	a := authenticator(t)
	use := func(at time.Time, code, owner string, want error) {
		t.Helper()
		before := a
		err := account.UseTOTP(&a, place{}, at, code, owner)
		if !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		if diff := cmp.Diff(before, a); err != nil && diff != "" {
			t.Errorf("changed by an error: %s", diff)
		}
	}
	use(now, "000000", "run 1", account.ErrWrong)
	use(now, codes[-1], "run 1", nil)
	use(now, codes[-1], "run 1", nil)
	use(now, codes[-1], "run 2", account.ErrUsed)
	use(now, codes[0], "run 2", nil)
	use(now, codes[-1], "run 1", account.ErrUsed)
	use(now.Add(30*time.Second), codes[0], "run 3", account.ErrUsed)
	use(now.Add(30*time.Second), codes[1], "run 3", nil)
	if want := now.Add(30 * time.Second).UTC(); a.LastUsed != want {
		t.Errorf("last used %v, want %v", a.LastUsed, want)
	}
}

func TestUseTOTPOfOthers(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	for name, c := range map[string]struct {
		change func(*account.Authenticator)
		wrong  bool
	}{
		"disabled":         {func(a *account.Authenticator) { a.Status = account.Disabled }, true},
		"status unknown":   {func(a *account.Authenticator) { a.Status = "" }, true},
		"of another type":  {func(a *account.Authenticator) { a.Type = account.TypePIN }, true},
		"moved to another": {func(a *account.Authenticator) { a.Subject = "mallory" }, false},
		"under another id": {func(a *account.Authenticator) { a.ID = "totp-2" }, false},
		"border moved":     {func(a *account.Authenticator) { a.Subject, a.ID = "jane totp-1", "" }, false},
		"data is no JSON":  {func(a *account.Authenticator) { a.Data = []byte("{") }, false},
	} {
		a := authenticator(t)
		c.change(&a)
		err := account.UseTOTP(&a, place{}, now, codes[0], "run")
		if err == nil || errors.Is(err, account.ErrWrong) != c.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	seed, err := account.NewSeed(bytes.NewReader(vectorSeed("SHA512")))
	if err != nil || len(seed) != 20 {
		t.Errorf("seed of %d bytes, %v", len(seed), err)
	}
	for algorithm, n := range map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64} {
		seed, err := account.NewSeedFor(bytes.NewReader(vectorSeed("SHA512")), algorithm)
		if err != nil || len(seed) != n {
			t.Errorf("%s: seed of %d bytes, %v", algorithm, len(seed), err)
		}
	}
	if _, err := account.NewSeedFor(bytes.NewReader(vectorSeed("SHA512")), "MD5"); err == nil {
		t.Error("a seed for MD5")
	}
	if _, err := account.NewSeed(strings.NewReader("short")); err == nil {
		t.Error("a seed without enough randomness")
	}
	if _, err := account.SealSeed(place{}, "jane", "a", make([]byte, 15)); err == nil {
		t.Error("a short seed was sealed")
	}
}

func TestURI(t *testing.T) {
	t.Parallel()
	uri, err := sixDigits().URI(vectorSeed("SHA1"), "My Bank", "jane+x@bank.example")
	if err != nil {
		t.Fatal(err)
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{key.Type(), key.Issuer(), key.AccountName(), key.Secret(), key.Period(), key.Digits(), key.Algorithm()}
	want := []any{"totp", "My Bank", "jane+x@bank.example", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", uint64(30), otp.DigitsSix, otp.AlgorithmSHA1}
	if diff := cmp.Diff(want, got); diff != "" || strings.Contains(uri, "My+Bank") {
		t.Errorf("%s: %s", uri, diff)
	}
	for _, names := range [][2]string{{"", "jane"}, {"Bank", ""}, {"Bank:x", "jane"}, {"Bank", "a:b"}} {
		if _, err := sixDigits().URI(vectorSeed("SHA1"), names[0], names[1]); err == nil {
			t.Errorf("names %q were accepted", names)
		}
	}
}

// The window goes by what was used (RFC 6238 §6): a device that shows a code of
// before is not ahead any more. What is learned is stored with the step, and a code
// that is refused teaches nothing.
func TestUseTellsTheDrift(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	sealer := plain{}
	for offset, want := range map[int]struct {
		err   error
		drift int
	}{-2: {account.ErrWrong, 1}, -1: {nil, 0}, 0: {nil, 1}, 1: {nil, 1}, 2: {account.ErrWrong, 1}} {
		d := sixDigits()
		d.Seed, d.Drift = vectorSeed("SHA1"), 1
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		a := account.Authenticator{ID: "id", Subject: "jane", Type: account.TypeTOTP, Status: account.Active, Data: data}
		err = account.UseTOTP(&a, sealer, now, codes[offset], "owner")
		var got account.TOTPData
		if err := json.Unmarshal(a.Data, &got); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, want.err) || got.Drift != want.drift {
			t.Errorf("offset %d: drift %d, %v", offset, got.Drift, err)
		}
	}
}

// plain seals nothing.
type plain struct{}

func (plain) Seal(text, _ []byte) ([]byte, error) { return text, nil }

func (plain) Open(text, _ []byte) ([]byte, error) { return text, nil }
