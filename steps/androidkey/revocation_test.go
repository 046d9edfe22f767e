package androidkey_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/androidkey"
)

// writeList writes a list of revocations at that time.
func writeList(t testing.TB, file, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// A certificate that is revoked or suspended, wherever it stands in the chain, is not trusted (T-110).
func TestRevocations(t *testing.T) {
	t.Parallel()
	m, key := remote(t), newKey(t)
	for name, c := range map[string]struct {
		list string
		want error
	}{
		"nobody":          {`{"entries":{}}`, nil},
		"somebody else":   {`{"entries":{"ff":{"status":"REVOKED","reason":"KEY_COMPROMISE"}}}`, nil},
		"revoked":         {`{"entries":{"b0b":{"status":"REVOKED","reason":"KEY_COMPROMISE"}}}`, androidkey.Revoked},
		"suspended":       {`{"entries":{"b0b":{"status":"SUSPENDED","reason":"SOFTWARE_FLAW"}}}`, androidkey.Revoked},
		"unheard of":      {`{"entries":{"b0b":{"status":"DOUBTFUL"}}}`, androidkey.Revoked},
		"spelled large":   {`{"entries":{"0B0B":{"status":"REVOKED"}}}`, androidkey.Revoked},
		"the next issuer": {`{"entries":{"a1":{"status":"REVOKED"}}}`, androidkey.Revoked},
		"the key itself":  {`{"entries":{"1":{"status":"REVOKED"}}}`, androidkey.Revoked},
	} {
		file := filepath.Join(t.TempDir(), "status.json")
		writeList(t, file, c.list, now)
		list, err := androidkey.OpenRevocations(file, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		v := verifier(t, m.Root(), func(c *androidkey.Config) { c.Revocations = list })
		if _, err := v.Verify(attest(t, m, key, serial(0xb0b)), want(key)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The list is read again when it has changed; nobody is believed on one that is old, broken or gone.
func TestRevocationsAge(t *testing.T) {
	t.Parallel()
	m, key := remote(t), newKey(t)
	file := filepath.Join(t.TempDir(), "status.json")
	writeList(t, file, `{"entries":{}}`, now)
	list, err := androidkey.OpenRevocations(file, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, m.Root(), func(c *androidkey.Config) { c.Revocations = list })
	chain := attest(t, m, key, serial(0xb0b))
	at := func(name string, when time.Time, expected error) {
		t.Helper()
		w := want(key)
		w.Now = when
		if _, err := v.Verify(chain, w); !errors.Is(err, expected) {
			t.Errorf("%s: %v; want %v", name, err, expected)
		}
	}
	at("fresh", now, nil)
	at("at its age", now.Add(time.Hour), nil)
	at("old", now.Add(time.Hour+1), androidkey.ErrStale)
	writeList(t, file, `{"entries":{"b0b":{"status":"REVOKED"}}}`, now.Add(time.Hour))
	at("fetched again", now.Add(time.Hour+1), androidkey.Revoked)
	writeList(t, file, `{"entries"`, now.Add(2*time.Hour))
	at("broken", now.Add(2*time.Hour), androidkey.ErrStale)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	at("gone", now.Add(2*time.Hour), androidkey.ErrStale)
}

// A server does not start on a list that is none.
func TestOpenRevocations(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "no list": "[]", "without entries": "{}", "entries of no form": `{"entries":[]}`} {
		file := filepath.Join(t.TempDir(), "status.json")
		writeList(t, file, text, now)
		if _, err := androidkey.OpenRevocations(file, time.Hour); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := androidkey.OpenRevocations(filepath.Join(t.TempDir(), "none"), time.Hour); err == nil {
		t.Error("no file: opened")
	}
	file := filepath.Join(t.TempDir(), "status.json")
	writeList(t, file, `{"entries":{}}`, now)
	if _, err := androidkey.OpenRevocations(file, 0); err == nil {
		t.Error("without an age: opened")
	}
}
