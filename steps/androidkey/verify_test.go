package androidkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/androidkeytest"
)

type draft = androidkeytest.Draft

// An honest phone is believed: provisioned in the factory long ago, or from afar, with the root in its chain or without it.
func TestHonestPhones(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*androidkeytest.Maker{"remote": remote(t), "factory": factory(t)} {
		for _, without := range []bool{false, true} {
			for level, word := range map[int]string{1: "tee", 2: "strongbox"} {
				key := newKey(t)
				chain := attest(t, m, key, func(d *draft) { d.WithoutRoot, d.Level, d.KeyMintLevel = without, level, level })
				got, err := verifier(t, m.Root()).Verify(chain, want(key))
				if err != nil || got.Level.String() != word || got.Package != ours || !got.Biometric {
					t.Errorf("%s, root left out %v: %+v, %v", name, without, got, err)
				}
			}
		}
	}
}

// Each point in which an attestation can be wrong has a word of its own (T-108, T-110, T-111).
func TestEachKnob(t *testing.T) {
	t.Parallel()
	m := remote(t)
	on := func(i int, edit func(*x509.Certificate)) func(*draft) {
		return func(d *draft) { d.Chain = append(make([]func(*x509.Certificate), i), edit) }
	}
	for name, c := range map[string]struct {
		refusal androidkey.Refusal
		edit    func(*draft)
	}{
		"software":                          {androidkey.Software, func(d *draft) { d.Level, d.KeyMintLevel = 0, 0 }},
		"software says that it is hard":     {androidkey.Software, func(d *draft) { d.Level, d.KeyMintLevel = 0, 1 }},
		"hardware attests software":         {androidkey.Software, func(d *draft) { d.Level, d.KeyMintLevel = 1, 0 }},
		"a level unheard of":                {androidkey.Malformed, func(d *draft) { d.Level, d.KeyMintLevel = 3, 3 }},
		"another challenge":                 {androidkey.WrongChallenge, func(d *draft) { d.Challenge = bytes.Repeat([]byte{1}, 32) }},
		"no challenge":                      {androidkey.WrongChallenge, func(d *draft) { d.Challenge = nil }},
		"half a challenge":                  {androidkey.WrongChallenge, func(d *draft) { d.Challenge = challenge[:16] }},
		"derived":                           {androidkey.WrongOrigin, func(d *draft) { d.Origin = 1 }},
		"imported":                          {androidkey.WrongOrigin, func(d *draft) { d.Origin = 2 }},
		"imported securely":                 {androidkey.WrongOrigin, func(d *draft) { d.Origin = 4 }},
		"only Android says what the key is": {androidkey.WrongOrigin, func(d *draft) { d.InSoftware = true }},
		"decrypts":                          {androidkey.WrongPurpose, func(d *draft) { d.Purposes = []int{1} }},
		"attests others as well":            {androidkey.WrongPurpose, func(d *draft) { d.Purposes = []int{2, 7} }},
		"without a purpose":                 {androidkey.WrongPurpose, func(d *draft) { d.Purposes = nil }},
		"said to be RSA":                    {androidkey.WrongKey, func(d *draft) { d.Algorithm = 1 }},
		"said to be P-384":                  {androidkey.WrongKey, func(d *draft) { d.Curve = 2 }},
		"said to be long":                   {androidkey.WrongKey, func(d *draft) { d.Size = 384 }},
		"of any app":                        {androidkey.Shared, func(d *draft) { d.AllApplications = true }},
		"of any app, says Android":          {androidkey.Shared, func(d *draft) { d.MoreSoftware = []androidkeytest.Field{{Tag: 600, Value: []byte{5, 0}}} }},
		"an open boot loader":               {androidkey.Unlocked, func(d *draft) { d.Locked = false }},
		"an operating system of one's own":  {androidkey.Unverified, func(d *draft) { d.BootState = 1 }},
		"an unverified one":                 {androidkey.Unverified, func(d *draft) { d.BootState = 2 }},
		"one that failed":                   {androidkey.Unverified, func(d *draft) { d.BootState = 3 }},
		"nothing of how it started":         {androidkey.Malformed, func(d *draft) { d.NoBoot = true }},
		"another app":                       {androidkey.WrongApp, func(d *draft) { d.Packages = []string{"com.evil.app"} }},
		"our app and another":               {androidkey.WrongApp, func(d *draft) { d.Packages = append(d.Packages, "com.evil.app") }},
		"no app":                            {androidkey.WrongApp, func(d *draft) { d.Packages = nil }},
		"our app, signed by others":         {androidkey.WrongApp, func(d *draft) { d.Digests = [][]byte{bytes.Repeat([]byte{1}, 32)} }},
		"our app, signed by others too":     {androidkey.WrongApp, func(d *draft) { d.Digests = append(d.Digests, bytes.Repeat([]byte{1}, 32)) }},
		"our app, signed by nobody":         {androidkey.WrongApp, func(d *draft) { d.Digests = nil }},
		"signed as the other app of ours":   {androidkey.WrongApp, func(d *draft) { d.Digests = [][]byte{bytes.Repeat([]byte{8}, 32)} }},
		"signs for anybody":                 {androidkey.Unprotected, func(d *draft) { d.NoAuth, d.UserAuth = true, 0 }},
		"signs for anybody, and so on":      {androidkey.Unprotected, func(d *draft) { d.NoAuth = true }},
		"signs for anybody, says Android":   {androidkey.Unprotected, func(d *draft) { d.MoreSoftware = []androidkeytest.Field{{Tag: 503, Value: []byte{5, 0}}} }},
		"nothing of who may sign":           {androidkey.Unprotected, func(d *draft) { d.UserAuth = 0 }},
		"opens to the phone's PIN":          {androidkey.Unprotected, func(d *draft) { d.UserAuth = 1 }},
		"opens to the phone's PIN as well":  {androidkey.Unprotected, func(d *draft) { d.UserAuth = 3 }},
		"stays open":                        {androidkey.TooLong, func(d *draft) { d.Timeout = 1 }},
		"a ninth member":                    {androidkey.Malformed, func(d *draft) { d.Ninth = true }},
		"bytes that follow":                 {androidkey.Malformed, func(d *draft) { d.Trailing = []byte{5, 0} }},
		"a tag twice":                       {androidkey.Malformed, func(d *draft) { d.More = []androidkeytest.Field{{Tag: 702, Value: androidkeytest.Number(0)}} }},
		"no description":                    {androidkey.Malformed, func(d *draft) { d.NoDescription = true }},
		"an issuer that describes a key":    {androidkey.Extended, func(d *draft) { d.DescribesIssuer = true }},
		"an issuer that is none":            {androidkey.BadChain, on(1, func(c *x509.Certificate) { c.IsCA = false })},
		"an issuer of the past":             {androidkey.Expired, on(2, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })},
		"an issuer of the future":           {androidkey.Expired, on(1, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) })},
	} {
		key := newKey(t)
		got, err := verifier(t, m.Root()).Verify(attest(t, m, key, c.edit), want(key))
		if !errors.Is(err, c.refusal) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.refusal)
		}
	}
}

// What decides nothing here may be anything, and what is newer than this code does not end the reading.
func TestWhatDoesNotMatter(t *testing.T) {
	t.Parallel()
	m := remote(t)
	for name, edit := range map[string]func(*draft){
		"the dates of the key": func(d *draft) {
			d.Chain = []func(*x509.Certificate){func(c *x509.Certificate) { c.NotAfter = now.AddDate(-1, 0, 0) }}
		},
		"tags unheard of": func(d *draft) {
			d.More = []androidkeytest.Field{{Tag: 9999, Value: []byte{5, 0}}, {Tag: 100000, Value: androidkeytest.Number(1)}}
		},
		"an old version":         func(d *draft) { d.Version = 3 },
		"a version unheard of":   func(d *draft) { d.Version = 900 },
		"what Android may claim": func(d *draft) { d.MoreSoftware = []androidkeytest.Field{{Tag: 702, Value: androidkeytest.Number(2)}} },
	} {
		key := newKey(t)
		if got, err := verifier(t, m.Root()).Verify(attest(t, m, key, edit), want(key)); err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Unknown tags do not hide what follows them: a reader that stops at the first would find nothing wrong.
func TestWhatFollowsUnknownTags(t *testing.T) {
	t.Parallel()
	m, key := remote(t), newKey(t)
	chain := attest(t, m, key, func(d *draft) {
		d.More = []androidkeytest.Field{{Tag: 9999, Value: []byte{5, 0}}, {Tag: 600, Value: []byte{5, 0}}}
	})
	if _, err := verifier(t, m.Root()).Verify(chain, want(key)); !errors.Is(err, androidkey.Shared) {
		t.Errorf("got %v", err)
	}
}

// Policies: patches, how long a key stays open, biometrics.
func TestPolicies(t *testing.T) {
	t.Parallel()
	m, key := remote(t), newKey(t)
	for name, c := range map[string]struct {
		policy func(*androidkey.Config)
		edit   func(*draft)
		any    bool
		want   error
	}{
		"patched this month":  {policy: func(c *androidkey.Config) { c.MinPatch = 202601 }, edit: func(*draft) {}},
		"patched long ago":    {policy: func(c *androidkey.Config) { c.MinPatch = 202602 }, edit: func(*draft) {}, want: androidkey.OldPatch},
		"open for ten":        {policy: func(c *androidkey.Config) { c.MaxOpen = 10 * time.Second }, edit: func(d *draft) { d.Timeout = 10 }},
		"open for eleven":     {policy: func(c *androidkey.Config) { c.MaxOpen = 10 * time.Second }, edit: func(d *draft) { d.Timeout = 11 }, want: androidkey.TooLong},
		"biometrics or not":   {policy: func(*androidkey.Config) {}, edit: func(d *draft) { d.NoAuth, d.UserAuth = true, 0 }, any: true},
		"emulators elsewhere": {policy: func(*androidkey.Config) {}, edit: emulator, want: androidkey.Software},
		"emulators":           {policy: func(c *androidkey.Config) { c.InsecureDevelopment = true }, edit: emulator},
	} {
		w := want(key)
		w.Biometric = !c.any
		got, err := verifier(t, m.Root(), c.policy).Verify(attest(t, m, key, c.edit), w)
		if !errors.Is(err, c.want) || c.any && got.Biometric || name == "emulators" && got.Level != androidkey.SoftwareOnly {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
}

func emulator(d *draft) { d.Level, d.KeyMintLevel, d.InSoftware, d.NoBoot = 0, 0, true, true }

// A chain is the certificates in their order, all of them, under our root and about this very key (T-108).
func TestChains(t *testing.T) {
	t.Parallel()
	m, stranger, key := remote(t), remote(t), newKey(t)
	honest := attest(t, m, key)
	elsewhere := attest(t, stranger, key)
	renamed := attest(t, m, key, func(d *draft) { // the same issuer's key under another name
		d.Chain = []func(*x509.Certificate){nil, func(c *x509.Certificate) { c.Subject.CommonName = "another" }}
	})
	for name, c := range map[string]struct {
		refusal androidkey.Refusal
		chain   [][]byte
	}{
		"nothing":                   {androidkey.Malformed, nil},
		"the key alone":             {androidkey.Malformed, honest[:1]},
		"too long":                  {androidkey.Malformed, slices.Repeat(honest[:1], androidkey.MaxCertificates+1)},
		"another root":              {androidkey.UnknownRoot, elsewhere},
		"another root, left out":    {androidkey.UnknownRoot, elsewhere[:len(elsewhere)-1]},
		"another root, ours behind": {androidkey.BadChain, append(slices.Clone(elsewhere), m.Root().Raw)},
		"another issuer":            {androidkey.BadChain, [][]byte{elsewhere[0], honest[1], honest[2], honest[3], honest[4]}},
		"an issuer of another name": {androidkey.BadChain, append([][]byte{honest[0]}, renamed[1:]...)},
		"a gap":                     {androidkey.BadChain, [][]byte{honest[0], honest[2], honest[3], honest[4]}},
		"turned around":             {androidkey.BadChain, [][]byte{honest[4], honest[3], honest[2], honest[1], honest[0]}},
		"ends early":                {androidkey.UnknownRoot, honest[:3]},
		"the root as an issuer":     {androidkey.Malformed, [][]byte{honest[3], honest[4]}},
		"bytes that follow":         {androidkey.Malformed, append([][]byte{append(slices.Clone(honest[0]), 0)}, honest[1:]...)},
		"large":                     {androidkey.Malformed, append([][]byte{make([]byte, androidkey.MaxCertificate+1)}, honest[1:]...)},
	} {
		_, err := verifier(t, m.Root()).Verify(c.chain, want(key))
		if name == "the root as an issuer" { // a certificate of Google itself, held against a key that is not its own
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
			continue
		}
		if !errors.Is(err, c.refusal) {
			t.Errorf("%s: %v; want %v", name, err, c.refusal)
		}
	}
	other := newKey(t)
	if _, err := verifier(t, m.Root()).Verify(honest, want(other)); !errors.Is(err, androidkey.WrongKey) {
		t.Errorf("another key: %v", err)
	}
	w := want(key)
	w.Challenge = nil
	if _, err := verifier(t, m.Root()).Verify(attest(t, m, key, func(d *draft) { d.Challenge = nil }), w); !errors.Is(err, androidkey.WrongChallenge) {
		t.Errorf("no challenge is asked for: %v", err)
	}
	w = want(key)
	w.Key = nil
	if _, err := verifier(t, m.Root()).Verify(honest, w); !errors.Is(err, androidkey.WrongKey) {
		t.Errorf("no key is asked for: %v", err)
	}
}

// A genuine attested key signs whatever its owner likes, also a certificate.
func TestChainExtension(t *testing.T) {
	t.Parallel()
	m, genuine, fake := remote(t), newKey(t), newKey(t)
	for _, able := range []bool{false, true} { // also if the phone makes a certificate that could issue others
		chain := attest(t, m, genuine, func(d *draft) {
			d.Chain = []func(*x509.Certificate){func(c *x509.Certificate) {
				if able {
					c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
				}
			}}
		})
		forged, err := androidkeytest.Extend(chain, genuine, &fake.PublicKey, androidkeytest.Describe(challenge, ours, digest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier(t, m.Root()).Verify(forged, want(fake)); !errors.Is(err, androidkey.Extended) && !errors.Is(err, androidkey.BadChain) || able && !errors.Is(err, androidkey.Extended) {
			t.Errorf("able to issue %v: %v", able, err)
		}
	}
}

// A certificate is read only up to a size, however right it is.
func TestLargeCertificate(t *testing.T) {
	t.Parallel()
	m := remote(t)
	for size, expected := range map[int]error{androidkey.MaxCertificate / 2: nil, androidkey.MaxCertificate: androidkey.Malformed} {
		key := newKey(t)
		chain := attest(t, m, key, func(d *draft) {
			d.Chain = []func(*x509.Certificate){func(c *x509.Certificate) {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{1, 2, 3, 4}, Value: make([]byte, size)})
			}}
		})
		if _, err := verifier(t, m.Root()).Verify(chain, want(key)); !errors.Is(err, expected) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// A key on another curve is not the one that a JWS is made with.
func TestOtherCurve(t *testing.T) {
	t.Parallel()
	m := remote(t)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier(t, m.Root()).Verify(attest(t, m, key), want(key)); !errors.Is(err, androidkey.WrongKey) {
		t.Errorf("got %v", err)
	}
}

// Whatever byte of a chain is changed, it is refused.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	m, key := remote(t), newKey(t)
	v, honest := verifier(t, m.Root()), attest(t, m, key)
	for i, der := range honest {
		for at := range der {
			for _, flip := range []byte{1, 0xff} {
				chain := slices.Clone(honest)
				chain[i] = slices.Clone(der)
				chain[i][at] ^= flip
				if got, err := v.Verify(chain, want(key)); err == nil {
					t.Fatalf("certificate %d, byte %d, flipped %x: %+v", i, at, flip, got)
				}
			}
		}
	}
}

// What no verifier can be made of.
func TestNew(t *testing.T) {
	t.Parallel()
	root := remote(t).Root()
	for name, c := range map[string]androidkey.Config{
		"no roots":         {Apps: []androidkey.App{{Package: ours, Certificate: digest}}},
		"no apps":          {Roots: []*x509.Certificate{root}},
		"an app of no one": {Roots: []*x509.Certificate{root}, Apps: []androidkey.App{{Package: ours}}},
		"an app unnamed":   {Roots: []*x509.Certificate{root}, Apps: []androidkey.App{{Certificate: digest}}},
	} {
		if _, err := androidkey.New(c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// The roots are the two that Google publishes, by their fingerprints.
func TestRoots(t *testing.T) {
	t.Parallel()
	roots, err := androidkey.Roots()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range roots {
		sum := sha256.Sum256(r.Raw)
		got = append(got, hex.EncodeToString(sum[:]))
		if err := r.CheckSignature(r.SignatureAlgorithm, r.RawTBSCertificate, r.Signature); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"cedb1cb6dc896ae5ec797348bce9286753c2b38ee71ce0fbe34a9a1248800dfc",
		"6d9db4ce6c5c0b293166d08986e05774a8776ceb525d9e4329520de12ba4bcc0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for name, text := range map[string]string{
		"nothing": "", "no certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if _, err := androidkey.ParseRoots([]byte(text)); err == nil {
			t.Errorf("%s: roots", name)
		}
	}
}

// Numbers of certificates are compared as numbers are written in the list.
func serial(n int64) func(*draft) {
	return func(d *draft) {
		d.Chain = []func(*x509.Certificate){nil, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }}
	}
}

// No description panics, and none is accepted without our app, the challenge and hardware.
func FuzzDescription(f *testing.F) {
	v := verifier(f, remote(f).Root())
	w := want(newKey(f))
	f.Add(androidkeytest.Describe(challenge, ours, digest))
	f.Add(androidkeytest.Describe(challenge, ours, digest, emulator))
	f.Add(androidkeytest.Describe(challenge, ours, digest, func(d *draft) { d.Timeout, d.NoAuth, d.AllApplications, d.Ninth = 5, true, true, true }))
	f.Fuzz(func(t *testing.T, description []byte) {
		got, err := v.Judge(description, w)
		var refused androidkey.Refusal
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("%v", err)
		}
		if err == nil && (got.Level == androidkey.SoftwareOnly || got.Package != ours || !bytes.Contains(description, challenge)) {
			t.Fatalf("accepted %x as %+v", description, got)
		}
	})
}
