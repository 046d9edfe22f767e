package account_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

func TestParseEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"jane@bank.example":            "jane@bank.example",
		"Jane.Doe+codes@Bank.EXAMPLE":  "Jane.Doe+codes@bank.example",
		"jane@bücher.example":          "jane@xn--bcher-kva.example",
		"jürgen@bank.example":          "jürgen@bank.example",
		"":                             "",
		"jane":                         "",
		"jane@":                        "",
		"@bank.example":                "",
		"jane@localhost":               "",
		"jane@bank.example.":           "",
		"jane@bank..example":           "",
		" jane@bank.example":           "",
		"Jane <jane@bank.example>":     "",
		"<jane@bank.example>":          "",
		"jane@bank.example, eve@evil":  "",
		"jane@bank.example,eve@e.evil": "",
		"jane@bank.example\r\nBcc: eve@evil.example": "",
		"jane\n@bank.example":                        "",
		`"jane doe"@bank.example`:                    "",
		"jane@[192.0.2.1]":                           "",
		"jane(comment)@bank.example":                 "",
		"jane@bank.example\x00":                      "",
		"\u202ejane@bank.example":                    "",
		"eve@evil.example@bank.example":              "",
		strings.Repeat("x", 250) + "@b.example":      "",
		"jane@\xff.example":                          "",
	} {
		got, err := account.ParseEmail(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, account.ErrEmail) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if want == "" {
			continue
		}
		if again, err := account.ParseEmail(got); again != got || err != nil {
			t.Errorf("%q is not its own spelling: %q, %v", got, again, err)
		}
	}
}

func TestMaskEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"jane@bank.example": "j***@b***",
		"j@b.example":       "j***@b***",
		"ürgen@x.example":   "ü***@x***",
		"nobody":            "",
		"@":                 "***@***",
	} {
		if got := account.MaskEmail(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
