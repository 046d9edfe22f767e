package account_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows/account"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"jane":                 "jane",
		"  Jane@Bank.Example ": "jane@bank.example",
		"ＪＡＮＥ":                 "jane",
		"Zoe\u0308":            "zo\u00eb",
		"\u212aelvin":          "kelvin",
		"a b":                  "a b",
		"\u00a0jane\u2003":     "jane",
	} {
		if got, err := account.Canonical(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty": "", "blank": " \t ", "nul": "jane\x00", "newline": "ja\nne", "no utf-8": "jane\xff",
		"zero width": "ja\u200bne", "direction": "ja\u202ene", "line separator": "ja\u2028ne", "replacement": "ja\ufffdne",
		"private": "ja\ue000ne", "long": strings.Repeat("a", account.MaxLogin+1),
		"long with blanks": "jane" + strings.Repeat(" ", account.MaxLogin),
		"long when folded": strings.Repeat("\ufdfa", account.MaxLogin/3),
	} {
		if got, err := account.Canonical(in); !errors.Is(err, account.ErrLogin) {
			t.Errorf("%s: %q, %v, want ErrLogin", name, got, err)
		}
	}
	if _, err := account.Canonical(strings.Repeat("a", account.MaxLogin)); err != nil {
		t.Errorf("longest: %v", err)
	}
}

func TestCanonicalIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringN(0, 40, -1).Draw(t, "login")
		once, err := account.Canonical(in)
		if err != nil {
			return
		}
		if twice, err := account.Canonical(once); err != nil || twice != once {
			t.Fatalf("%q became %q, then %q, %v", in, once, twice, err)
		}
		if upper, err := account.Canonical(strings.ToUpper(once)); err == nil && strings.ToLower(once) != once {
			t.Fatalf("%q is not in lower case; upper case gives %q", once, upper)
		}
	})
}
