package account_test

import (
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/stile-auth/stile/flows/account"
)

// hotpVectors are those of RFC 4226, appendix D: the secret is that of RFC 6238.
var hotpVectors = []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}

func TestHOTPVectors(t *testing.T) {
	t.Parallel()
	for n, code := range hotpVectors {
		after, err := account.VerifyHOTP(account.HOTPData{Digits: 6, Next: uint64(n)}, vectorSeed("SHA1"), account.HOTPCodes{Code: code}, "owner")
		if err != nil || after != uint64(n)+1 {
			t.Errorf("counter %d: %d, %v", n, after, err)
		}
	}
}

// tokenCodes is what a token shows at its counters from 0.
func tokenCodes(t testing.TB, n int) []string {
	t.Helper()
	out := make([]string, n)
	for i := range out {
		code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(vectorSeed("SHA1")), uint64(i),
			hotp.ValidateOpts{Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = code
	}
	return out
}

// The counter never goes back and looks ahead no further than it says (T-44).
func TestHOTPWindow(t *testing.T) {
	t.Parallel()
	codes, seed := tokenCodes(t, 140), vectorSeed("SHA1")
	d := account.HOTPData{Digits: 8, Next: 10}
	d, err := d.Use(seed, account.HOTPCodes{Code: codes[10]}, "owner")
	if err != nil || d.Next != 11 {
		t.Fatalf("%+v, %v", d, err)
	}
	for n, code := range codes[:40] {
		after, err := account.VerifyHOTP(d, seed, account.HOTPCodes{Code: code}, "another")
		switch {
		case n == 10 && !errors.Is(err, account.ErrUsed), n < 10 && !errors.Is(err, account.ErrWrong), n > 20 && !errors.Is(err, account.ErrWrong):
			t.Errorf("counter %d: %d, %v", n, after, err)
		case n > 10 && n <= 20 && (err != nil || after != uint64(n)+1):
			t.Errorf("counter %d: %d, %v", n, after, err)
		}
	}
}

// Two codes in a row bring a token back that was pressed too often, forwards only.
func TestHOTPResync(t *testing.T) {
	t.Parallel()
	codes, seed := tokenCodes(t, 140), vectorSeed("SHA1")
	d := account.HOTPData{Digits: 8, Next: 11}
	for name, c := range map[string]struct {
		codes account.HOTPCodes
		after uint64
	}{
		"within the window":    {account.HOTPCodes{Code: codes[11], Next: codes[12]}, 13},
		"far ahead":            {account.HOTPCodes{Code: codes[90], Next: codes[91]}, 92},
		"at the border":        {account.HOTPCodes{Code: codes[110], Next: codes[111]}, 112},
		"beyond it":            {account.HOTPCodes{Code: codes[111], Next: codes[112]}, 0},
		"not in a row":         {account.HOTPCodes{Code: codes[90], Next: codes[92]}, 0},
		"the wrong way around": {account.HOTPCodes{Code: codes[91], Next: codes[90]}, 0},
		"one code twice":       {account.HOTPCodes{Code: codes[90], Next: codes[90]}, 0},
		"both used":            {account.HOTPCodes{Code: codes[5], Next: codes[6]}, 0},
		"the first one used":   {account.HOTPCodes{Code: codes[10], Next: codes[11]}, 0},
		"one code alone":       {account.HOTPCodes{Code: codes[90]}, 0},
	} {
		after, err := account.VerifyHOTP(d, seed, c.codes, "owner")
		if c.after == 0 && !errors.Is(err, account.ErrWrong) || c.after > 0 && (err != nil || after != c.after) {
			t.Errorf("%s: %d, %v; want %d", name, after, err, c.after)
		}
	}
}

// A request that is repeated after a crash gets its answer again, and nobody else does.
func TestHOTPOwner(t *testing.T) {
	t.Parallel()
	codes, seed := tokenCodes(t, 40), vectorSeed("SHA1")
	for name, c := range map[string]account.HOTPCodes{"one": {Code: codes[3]}, "two": {Code: codes[30], Next: codes[31]}} {
		d, err := account.HOTPData{Digits: 8, Next: 3}.Use(seed, c, "mine")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := d.Use(seed, c, "mine")
		if err != nil || again.Next != d.Next {
			t.Errorf("%s: again %+v, %v", name, again, err)
		}
		if _, err := d.Use(seed, c, "yours"); !errors.Is(err, account.ErrUsed) {
			t.Errorf("%s: by somebody else: %v", name, err)
		}
		if _, err := d.Use(seed, c, ""); err == nil || errors.Is(err, account.ErrUsed) {
			t.Errorf("%s: by nobody: %v", name, err)
		}
	}
}

func TestHOTPRefuses(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]account.HOTPData{"few": {Digits: 5}, "many": {Digits: 9}, "at the end": {Digits: 6, Next: 1 << 63}} {
		if _, err := account.VerifyHOTP(d, vectorSeed("SHA1"), account.HOTPCodes{Code: "755224"}, "o"); err == nil || errors.Is(err, account.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := account.VerifyHOTP(account.HOTPData{Digits: 6}, make([]byte, 15), account.HOTPCodes{Code: "755224"}, "o"); err == nil || errors.Is(err, account.ErrWrong) {
		t.Errorf("a short seed: %v", err)
	}
	for _, code := range []string{"", "75522", "7552240", "287083", " 755224"} {
		if _, err := account.VerifyHOTP(account.HOTPData{Digits: 6}, vectorSeed("SHA1"), account.HOTPCodes{Code: code}, "o"); !errors.Is(err, account.ErrWrong) {
			t.Errorf("%q: %v", code, err)
		}
	}
}

func TestUseHOTP(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sealed, err := account.SealSeed(place{}, "jane", "a", vectorSeed("SHA1"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(account.HOTPData{Seed: sealed, Digits: 6})
	if err != nil {
		t.Fatal(err)
	}
	a := account.Authenticator{ID: "a", Subject: "jane", Type: account.TypeHOTP, Status: account.Active, Data: data}
	for name, spoil := range map[string]func(*account.Authenticator){
		"disabled": func(a *account.Authenticator) { a.Status = account.Disabled },
		"pending":  func(a *account.Authenticator) { a.Status = account.Pending },
		"a TOTP":   func(a *account.Authenticator) { a.Type = account.TypeTOTP },
	} {
		other := a
		spoil(&other)
		if err := account.UseHOTP(&other, place{}, now, account.HOTPCodes{Code: hotpVectors[0]}, "o"); !errors.Is(err, account.ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int{1, 4} {
		if err := account.UseHOTP(&a, place{}, now, account.HOTPCodes{Code: hotpVectors[n]}, fmt.Sprint("run ", n)); err != nil || !a.LastUsed.Equal(now) {
			t.Errorf("counter %d: %v", n, err)
		}
		if err := account.UseHOTP(&a, place{}, now, account.HOTPCodes{Code: hotpVectors[n]}, "another"); !errors.Is(err, account.ErrUsed) {
			t.Errorf("counter %d once more: %v", n, err)
		}
	}
	a.ID = "b"
	if err := account.UseHOTP(&a, place{}, now, account.HOTPCodes{Code: hotpVectors[5]}, "o"); err == nil || errors.Is(err, account.ErrWrong) {
		t.Errorf("in another row: %v", err)
	}
}

func TestHOTPURI(t *testing.T) {
	t.Parallel()
	uri, err := account.HOTPData{Digits: 8, Next: 7}.URI(vectorSeed("SHA1"), "My Bank", "jane")
	if err != nil || !strings.HasPrefix(uri, "otpauth://hotp/My%20Bank:jane?") || !strings.Contains(uri, "counter=7") || !strings.Contains(uri, "digits=8") {
		t.Errorf("%s, %v", uri, err)
	}
}

// The window of later codes goes by what the binding has shown of the device's clock (RFC 6238 §6).
func TestFirstTellsTheDrift(t *testing.T) {
	t.Parallel()
	now, codes := window(t)
	for offset, want := range map[int]struct {
		err   error
		drift int
	}{-2: {err: account.ErrWrong}, -1: {}, 0: {}, 1: {drift: 1}, 2: {err: account.ErrWrong}} {
		d, err := sixDigits().First(vectorSeed("SHA1"), now, codes[offset], "owner")
		if !errors.Is(err, want.err) || d.Drift != want.drift {
			t.Errorf("offset %d: drift %d, %v", offset, d.Drift, err)
		}
		if _, again := d.First(vectorSeed("SHA1"), now, codes[offset], "another"); err == nil && !errors.Is(again, account.ErrUsed) {
			t.Errorf("offset %d, used: %v", offset, again)
		}
	}
}
