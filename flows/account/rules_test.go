package account_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	rules := account.PasswordRules{Words: []string{"Hillbank", "stile.example"}}
	for password, want := range map[string]account.Reason{
		"three quiet green hills":             "",
		"fourteen chars":                      account.TooShort,
		"fifteen charact":                     "",
		strings.Repeat("zoë geht ", 26)[:256]: "",
		"zoe\u0308zoe\u0308zoe\u0308xyz":      account.TooShort, // 15 code points as typed, 12 in NFC
		strings.Repeat("ab cd", 60):           account.TooLong,
		strings.Repeat("ü", 129):              account.TooLong, // 258 bytes
		strings.Repeat("x", 2000):             account.TooLong,
		"no text at all \xff":                 account.NotText,
		"aaaaaaaaaaaaaaaaaaaa":                account.Common,
		"abcabcabcabcabcabc":                  account.Common,
		"123456789012345678":                  account.Common,
		"qwertyuiopasdfghjkl":                 account.Common,
		"1qaz2wsx3edc4rfv5tgb":                account.Common,
		"passwordpassword":                    account.Common,
		"P4ssw0rdP4ssw0rd!!":                  account.Common,
		"Administrator2026":                   account.Common,
		"!!Willkommen2026!!":                  account.Common,
		"dragon master 123":                   account.Common,
		"hillbank-2026!!":                     account.Contextual,
		"HILLBANKhillbank":                    account.Contextual,
		"jane.doe.example":                    account.Contextual,
		"xx jane.doe xx99":                    account.Contextual,
		"my dear friend jane.doe likes it":    "",
	} {
		err := rules.Check(t.Context(), password, "jane.doe@bank.example", "j")
		got, _ := account.ReasonOf(err)
		if got != want || (want != "") != errors.Is(err, account.ErrUnfit) {
			t.Errorf("%.30q: %v, want %q", password, err, want)
		}
	}
}

func TestShortPasswords(t *testing.T) {
	t.Parallel()
	for secret, fit := range map[string]bool{
		"1234567": false, "12345678": false, "74120936": false, "password": false, "Passw0rd1!": false, "qwertz123": false, "Sommer2026": false,
		"abcd1234": false, "monkey12": false, "!QAZ2wsx": true, "pass phrase with spaces": true, "brvlq47k": true,
		"🔑🚪🌲🏔🧭🥾🌧🐑": true, "zoe\u0308zoe\u0308x": false, "": false, "brvlq47": false, "brvlq47k\xff": false,
	} {
		if err := (account.PasswordRules{Min: account.MinPassword}).Check(t.Context(), secret); (err == nil) != fit || (err != nil && !errors.Is(err, account.ErrUnfit)) {
			t.Errorf("%.20q: %v", secret, err)
		}
	}
}

type brokenList struct{}

var errUnreadable = errors.New("disk gone")

func (brokenList) Has(context.Context, string) (bool, error) { return false, errUnreadable }

// A list that cannot be read lets nothing pass.
func TestUnreadableListFailsClosed(t *testing.T) {
	t.Parallel()
	err := account.PasswordRules{Blocked: brokenList{}}.Check(t.Context(), "three quiet green hills")
	if !errors.Is(err, errUnreadable) || errors.Is(err, account.ErrUnfit) {
		t.Errorf("error %v, want that of the list", err)
	}
}

func listFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blocked.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSortedList(t *testing.T) {
	t.Parallel()
	words := make([]string, 0, 20000)
	for i := range 20000 {
		words = append(words, strings.Repeat("w", 1+i%40)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676%26)))
	}
	slices.Sort(words)
	for name, text := range map[string]string{
		"lines": strings.Join(words, "\n") + "\n", "no last break": strings.Join(words, "\n"), "of Windows": strings.Join(words, "\r\n") + "\r\n",
	} {
		l, err := account.OpenSortedList(listFile(t, text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, w := range words {
			if found, err := l.Has(t.Context(), w); err != nil || !found {
				t.Fatalf("%s: %q: %v, %v", name, w, found, err)
			}
		}
		for _, w := range []string{"", "a", "zzz", words[17] + "x", words[0][:1]} {
			if found, err := l.Has(t.Context(), w); err != nil || found {
				t.Errorf("%s: %q: %v, %v", name, w, found, err)
			}
		}
		if found, err := l.Has(t.Context(), strings.ToUpper(words[99])); err != nil || !found {
			t.Errorf("%s: in capitals: %v, %v", name, found, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// As breached passwords are published: hashes with counts.
const breached = `1C5DD2C9F5E0D3D4B1B9C83E8BDF9F0D4A5D6E7F:3
%s:12
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF:1
`

func TestSortedListOfHashes(t *testing.T) {
	t.Parallel()
	const hash = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8" // SHA-1 of "password"
	l, err := account.OpenSortedList(listFile(t, strings.Replace(breached, "%s", hash, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for password, want := range map[string]bool{"password": true, "passwore": false, hash: false} {
		if found, err := l.Has(t.Context(), password); err != nil || found != want {
			t.Errorf("%q: %v, %v", password, found, err)
		}
	}
}

func TestOpenSortedListRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "unsorted": "b\na\n", "long line": strings.Repeat("x", 3000) + "\n" + strings.Repeat("y", 3000),
	} {
		if _, err := account.OpenSortedList(listFile(t, text)); !errors.Is(err, account.ErrList) {
			t.Errorf("%s: %v, want ErrList", name, err)
		}
	}
	if _, err := account.OpenSortedList(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file that is not there")
	}
}
