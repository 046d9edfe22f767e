package appattest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/appattesttest"
)

const ours = "ABCDE12345.com.bank.app"

var (
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	challenge = bytes.Repeat([]byte{9}, 32)
)

type draft = appattesttest.Draft

func newMaker(t testing.TB) *appattesttest.Maker {
	t.Helper()
	m, err := appattesttest.New(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newDevice(t testing.TB, m *appattesttest.Maker) *appattesttest.Device {
	t.Helper()
	d, err := m.Device(ours)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func verifier(t testing.TB, m *appattesttest.Maker, edits ...func(*appattest.Config)) *appattest.Verifier {
	t.Helper()
	cfg := appattest.Config{Roots: []*x509.Certificate{m.Root()}, Apps: []string{"ABCDE12345.com.bank.other", ours}}
	for _, edit := range edits {
		edit(&cfg)
	}
	v, err := appattest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func attest(t testing.TB, d *appattesttest.Device, edits ...func(*draft)) []byte {
	t.Helper()
	object, err := d.Attest(challenge, edits...)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func assert(t testing.TB, d *appattesttest.Device, said string, edits ...func(*draft)) []byte {
	t.Helper()
	assertion, err := d.Assert([]byte(said), edits...)
	if err != nil {
		t.Fatal(err)
	}
	return assertion
}

// extended adds what iOS 27 says of the start of the app.
func extended(d *draft) {
	d.Flags |= 0x80
	d.Extensions = appattesttest.Extension("launchValidationCategory", "app-store")
}

// An honest iPhone is believed, an old one and one that says more.
func TestHonestPhones(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	for _, edit := range []func(*draft){func(*draft) {}, extended} {
		d := newDevice(t, m)
		key, err := verifier(t, m).Attest(attest(t, d, edit), challenge, now)
		if err != nil || key.App != ours || len(key.Point) != 65 {
			t.Fatalf("%+v, %v", key, err)
		}
		for i := range uint32(3) {
			counter, err := verifier(t, m).Assert(assert(t, d, "a payment", edit), key, []byte("a payment"))
			if err != nil || counter != i+1 {
				t.Errorf("%d: %d, %v", i, counter, err)
			}
		}
	}
}

// Each point in which an attestation can be wrong has a word of its own (T-107, T-112).
func TestEachKnob(t *testing.T) {
	t.Parallel()
	m, stranger := newMaker(t), newMaker(t)
	foreign := newDevice(t, stranger)
	for name, c := range map[string]struct {
		refusal appattest.Refusal
		edit    func(*draft)
	}{
		"a passkey's":                   {appattest.WrongFormat, func(d *draft) { d.Format = "apple" }},
		"of another app":                {appattest.WrongApp, func(d *draft) { d.App = "ABCDE12345.com.evil.app" }},
		"of another team":               {appattest.WrongApp, func(d *draft) { d.App = "EVIL123456.com.bank.app" }},
		"counted":                       {appattest.Used, func(d *draft) { d.Counter = 1 }},
		"of a development build":        {appattest.WrongEnvironment, func(d *draft) { d.AAGUID = []byte("appattestdevelop") }},
		"of something unheard of":       {appattest.WrongEnvironment, func(d *draft) { d.AAGUID = make([]byte, 16) }},
		"another id":                    {appattest.WrongKey, func(d *draft) { d.ID = make([]byte, 32) }},
		"half an id":                    {appattest.WrongKey, func(d *draft) { d.ID = d.ID[:16] }},
		"another key in the data":       {appattest.WrongKey, func(d *draft) { d.Point = slices.Clone(d.Point); d.Point[64] ^= 1 }},
		"another algorithm":             {appattest.WrongKey, func(d *draft) { d.Algorithm = -257 }},
		"over another challenge":        {appattest.WrongChallenge, func(d *draft) { d.ClientData = []byte("another") }},
		"no nonce":                      {appattest.Malformed, func(d *draft) { d.NoNonce = true }},
		"bytes after the nonce":         {appattest.Malformed, func(d *draft) { d.Nonce = func(n []byte) []byte { return append(n, 0) } }},
		"a nonce of no form":            {appattest.Malformed, func(d *draft) { d.Nonce = func(n []byte) []byte { return n[2:] } }},
		"a zeroed nonce":                {appattest.WrongChallenge, func(d *draft) { d.Nonce = func(n []byte) []byte { clear(n[6:]); return n } }},
		"without what is attested":      {appattest.Malformed, func(d *draft) { d.Flags = 0 }},
		"bytes after the data":          {appattest.Malformed, func(d *draft) { d.Extensions = []byte{0xa0} }},
		"extensions that are not there": {appattest.Malformed, func(d *draft) { d.Flags |= 0x80 }},
		"bytes after the extensions":    {appattest.Malformed, func(d *draft) { extended(d); d.Extensions = append(d.Extensions, 0) }},
		"bytes after the object":        {appattest.Malformed, func(d *draft) { d.Trailing = []byte{0} }},
		"one member more":               {appattest.Malformed, func(d *draft) { d.Extra = true }},
		"statement without members":     {appattest.Malformed, func(d *draft) { d.Statement = []byte{0xa0} }},
		"expired":                       {appattest.BadChain, func(d *draft) { d.Certificate = func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) } }},
		"of the future":                 {appattest.BadChain, func(d *draft) { d.Certificate = func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) } }},
		"the key alone":                 {appattest.Malformed, func(d *draft) { d.Certificates = func(c [][]byte) [][]byte { return c[:1] } }},
		"with the root":                 {appattest.Malformed, func(d *draft) { d.Certificates = func(c [][]byte) [][]byte { return append(c, m.Root().Raw) } }},
		"the issuer as the key":         {appattest.Malformed, func(d *draft) { d.Certificates = func(c [][]byte) [][]byte { return [][]byte{c[1], c[0]} } }},
		"under the root itself":         {appattest.BadChain, func(d *draft) { d.Certificates = func(c [][]byte) [][]byte { return [][]byte{c[0], m.Root().Raw} } }},
	} {
		got, err := verifier(t, m).Attest(attest(t, newDevice(t, m), c.edit), challenge, now)
		if !errors.Is(err, c.refusal) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.refusal)
		}
	}
	if _, err := verifier(t, m).Attest(attest(t, foreign), challenge, now); !errors.Is(err, appattest.BadChain) {
		t.Errorf("another root: %v", err)
	}
	if _, err := verifier(t, m).Attest(make([]byte, appattest.MaxObject+1), challenge, now); !errors.Is(err, appattest.Malformed) {
		t.Errorf("large: %v", err)
	}
}

// An object is read only up to a size, however right it is.
func TestLargeObject(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	for size, want := range map[int]error{appattest.MaxObject / 2: nil, appattest.MaxObject: appattest.Malformed} {
		object := attest(t, newDevice(t, m), func(d *draft) { d.Receipt = make([]byte, size) })
		if _, err := verifier(t, m).Attest(object, challenge, now); !errors.Is(err, want) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// Development builds are for development.
func TestDevelopment(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	v := verifier(t, m, func(c *appattest.Config) { c.InsecureDevelopment = true })
	object := attest(t, newDevice(t, m), func(d *draft) { d.AAGUID = []byte("appattestdevelop") })
	if _, err := v.Attest(object, challenge, now); err != nil {
		t.Error(err)
	}
}

// An assertion is by this key, over this data, for this app, and says nothing else.
func TestAssertions(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	v, d, other := verifier(t, m), newDevice(t, m), newDevice(t, m)
	key, err := v.Attest(attest(t, d), challenge, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		refusal   appattest.Refusal
		assertion []byte
	}{
		"over something else":        {appattest.BadAssertion, assert(t, d, "a larger payment")},
		"by another key":             {appattest.BadAssertion, assert(t, other, "a payment")},
		"over the hash of the nonce": {appattest.BadAssertion, assert(t, d, "a payment", func(d *draft) { d.Twice = true })},
		"for another app":            {appattest.AssertionApp, assert(t, d, "a payment", func(d *draft) { d.App = "ABCDE12345.com.evil.app" })},
		"for another app of ours":    {appattest.AssertionApp, assert(t, d, "a payment", func(d *draft) { d.App = "ABCDE12345.com.bank.other" })},
		"bytes after the data":       {appattest.Malformed, assert(t, d, "a payment", func(d *draft) { d.Extensions = []byte{0} })},
		"extensions of no form":      {appattest.Malformed, assert(t, d, "a payment", func(d *draft) { d.Flags |= 0x80; d.Extensions = []byte{0} })},
		"bytes after the object":     {appattest.Malformed, assert(t, d, "a payment", func(d *draft) { d.Trailing = []byte{0} })},
		"one member more":            {appattest.Malformed, assert(t, d, "a payment", func(d *draft) { d.Extra = true })},
		"an attestation":             {appattest.Malformed, attest(t, d)},
		"nothing":                    {appattest.Malformed, nil},
		"large":                      {appattest.Malformed, make([]byte, appattest.MaxObject+1)},
	} {
		if _, err := v.Assert(c.assertion, key, []byte("a payment")); !errors.Is(err, c.refusal) {
			t.Errorf("%s: %v; want %v", name, err, c.refusal)
		}
	}
	gone := verifier(t, m, func(c *appattest.Config) { c.Apps = c.Apps[:1] })
	if _, err := gone.Assert(assert(t, d, "a payment"), key, []byte("a payment")); !errors.Is(err, appattest.AssertionApp) {
		t.Errorf("an app that is ours no more: %v", err)
	}
	var refused appattest.Refusal
	if _, err := v.Assert(assert(t, d, "a payment"), appattest.Key{App: ours}, []byte("a payment")); err == nil || errors.As(err, &refused) {
		t.Errorf("a stored key that is none is our mistake: %v", err)
	}
}

// Whatever byte is changed, it is refused; but for the receipt, which is for Apple and which nothing here reads.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	v, d := verifier(t, m), newDevice(t, m)
	object := attest(t, d)
	receipt := bytes.LastIndex(object, []byte("receipt"))
	key, err := v.Attest(object, challenge, now)
	if err != nil {
		t.Fatal(err)
	}
	everyByte(object, func(at int, changed []byte) {
		if at >= receipt && at < receipt+len("receipt") {
			return
		}
		if got, err := v.Attest(changed, challenge, now); err == nil {
			t.Errorf("attestation, byte %d, now %x: %+v", at, changed[at], got)
		}
	})
	assertion := assert(t, d, "a payment")
	everyByte(assertion, func(at int, changed []byte) {
		if _, err := v.Assert(changed, key, []byte("a payment")); err == nil {
			t.Errorf("assertion, byte %d, now %x: accepted", at, changed[at])
		}
	})
}

func everyByte(honest []byte, try func(at int, changed []byte)) {
	for at := range honest {
		for _, flip := range []byte{1, 0xff} {
			changed := slices.Clone(honest)
			changed[at] ^= flip
			try(at, changed)
		}
	}
}

// What no verifier can be made of, and the root that Apple publishes.
func TestNewAndRoots(t *testing.T) {
	t.Parallel()
	roots, err := appattest.Roots()
	if err != nil || len(roots) != 1 {
		t.Fatal(err)
	}
	if err := roots[0].CheckSignatureFrom(roots[0]); err != nil {
		t.Error(err)
	}
	if sum := sha256.Sum256(roots[0].Raw); hex.EncodeToString(sum[:]) != "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932" {
		t.Errorf("%x", sum)
	}
	for name, c := range map[string]appattest.Config{"no roots": {Apps: []string{ours}}, "no apps": {Roots: roots}, "no name": {Roots: roots, Apps: []string{""}}} {
		if _, err := appattest.New(c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	for _, text := range []string{"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := appattest.ParseRoots([]byte(text)); err == nil {
			t.Errorf("%q: roots", text)
		}
	}
}

// No object panics, and whatever is not accepted is refused by a word.
func FuzzAttest(f *testing.F) {
	m := newMaker(f)
	v, d := verifier(f, m), newDevice(f, m)
	honest := attest(f, d)
	key, err := v.Attest(honest, challenge, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest)
	f.Add(attest(f, d, extended))
	f.Add(assert(f, d, "a payment"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var refused appattest.Refusal
		if got, err := v.Attest(data, challenge, now); err != nil && !errors.As(err, &refused) || err == nil && !bytes.Contains(data, got.Point[33:]) {
			t.Errorf("attestation: %+v, %v", got, err)
		}
		if _, err := v.Assert(data, key, []byte("a payment")); err != nil && !errors.As(err, &refused) {
			t.Errorf("assertion: %v", err)
		}
	})
}
