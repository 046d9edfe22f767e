package account_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

var activationKey = bytes.Repeat([]byte{7}, 32)

// issued is an authenticator with a code that is good for an hour from noon.
func issued(t testing.TB, id string) (a account.Authenticator, code string, noon time.Time) {
	t.Helper()
	text := account.NewActivationCode()
	d, err := account.NewActivationData(activationKey, "jane", id, text)
	if err != nil {
		t.Fatal(err)
	}
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d.Channel, d.Expires = account.ByLetter, noon.Add(time.Hour)
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if code, err = account.ParseActivationCode(text); err != nil {
		t.Fatal(err)
	}
	return account.Authenticator{ID: id, Subject: "jane", Type: account.TypeActivation, Status: account.Active, Data: data}, code, noon
}

// However a code is copied off a letter, it is the same code.
func TestActivationCodeTyping(t *testing.T) {
	t.Parallel()
	const code = "0123456789ABCD1F"
	for _, text := range []string{"0123-4567-89AB-CD1F", "0123 4567 89ab cd1f", "o123456789abcdlf", "OI23-4567-89AB-CDIF", " 0 1 2 3-4567-89AB-CD1F "} {
		if got, err := account.ParseActivationCode(text); err != nil || got != code {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0123-4567-89AB-CD1", "0123-4567-89AB-CD1F0", "0123-4567-89AB-CDUF", "0123_4567_89AB_CD1F", "０123-4567-89AB-CD1F", strings.Repeat("0", 24)} {
		if got, err := account.ParseActivationCode(text); !errors.Is(err, account.ErrActivationCode) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	seen := map[string]bool{}
	for range 1000 {
		text := account.NewActivationCode()
		if _, err := account.ParseActivationCode(text); err != nil || len(text) != 19 || strings.ContainsAny(text, "ILOU") || seen[text] {
			t.Fatalf("%s: %v", text, err)
		}
		seen[text] = true
	}
}

func TestUseActivationCode(t *testing.T) {
	t.Parallel()
	a, code, noon := issued(t, "a")
	if bytes.Contains(a.Data, []byte(code)) {
		t.Error("the code is stored as it is")
	}
	if err := account.UseActivationCode(&a, activationKey, noon, code, "mine"); err != nil || a.Status != account.Disabled || !a.LastUsed.Equal(noon) {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := account.UseActivationCode(&a, activationKey, noon, code, "mine"); err != nil {
		t.Errorf("the same request again: %v", err)
	}
	if err := account.UseActivationCode(&a, activationKey, noon, code, "yours"); !errors.Is(err, account.ErrUsed) {
		t.Errorf("somebody else: %v", err)
	}
}

// A code is good for its account and row, until it expires, and while nobody has withdrawn it.
func TestActivationCodeRefuses(t *testing.T) {
	t.Parallel()
	_, other, _ := issued(t, "b")
	for name, c := range map[string]struct {
		edit  func(*account.Authenticator)
		after time.Duration
		code  string
		want  error
	}{
		"good to the end":   {after: time.Hour - 1},
		"expired":           {after: time.Hour, want: account.ErrWrong},
		"another code":      {code: other, want: account.ErrWrong},
		"withdrawn":         {edit: func(a *account.Authenticator) { a.Status = account.Disabled }, want: account.ErrWrong},
		"pending":           {edit: func(a *account.Authenticator) { a.Status = account.Pending }, want: account.ErrWrong},
		"another row":       {edit: func(a *account.Authenticator) { a.ID = "b" }, want: account.ErrWrong},
		"another account":   {edit: func(a *account.Authenticator) { a.Subject = "joe" }, want: account.ErrWrong},
		"of something else": {edit: func(a *account.Authenticator) { a.Type = account.TypeRecovery }, want: account.ErrWrong},
	} {
		a, code, noon := issued(t, "a")
		if c.edit != nil {
			c.edit(&a)
		}
		if c.code != "" {
			code = c.code
		}
		if err := account.UseActivationCode(&a, activationKey, noon.Add(c.after), code, "o"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	a, code, noon := issued(t, "a")
	if err := account.UseActivationCode(&a, activationKey, noon, code, ""); err == nil || errors.Is(err, account.ErrWrong) {
		t.Errorf("without an owner: %v", err)
	}
	if err := account.UseActivationCode(&a, bytes.Repeat([]byte{8}, 32), noon, code, "o"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("under another key: %v", err)
	}
}
