package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/androidkeytest"
	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/appattesttest"
	"github.com/stile-auth/stile/steps/devicekey"
)

const (
	androidApp = "com.bank.app"
	appleApp   = "ABCDE12345.com.bank.app"
)

// makers are who makes the phones of a play, and what believes them.
type makers struct {
	google *androidkeytest.Maker
	apple  *appattesttest.Maker
	by     devicekey.Attestation
}

func appDigest() []byte {
	sum := sha256.Sum256([]byte("certificate of the app"))
	return sum[:]
}

func (p *play) newMakers() (*makers, error) {
	google, err := androidkeytest.NewRemote(p.cast.Clock.Now())
	if err != nil {
		return nil, err
	}
	apple, err := appattesttest.New(p.cast.Clock.Now)
	if err != nil {
		return nil, err
	}
	m := &makers{google: google, apple: apple}
	m.by.Android, err = androidkey.New(androidkey.Config{
		Roots: []*x509.Certificate{google.Root()}, Apps: []androidkey.App{{Package: androidApp, Certificate: appDigest()}},
	})
	if err != nil {
		return nil, err
	}
	m.by.Apple, err = appattest.New(appattest.Config{Roots: []*x509.Certificate{apple.Root()}, Apps: []string{appleApp}})
	return m, err
}

// attestation is what the steps believe; phones that nobody asks are not made.
func (p *play) attestation() (devicekey.Attestation, error) {
	types := []string{"device_enrolment", "device_biometric", "device_pin_enrolment", "device_pin"}
	if p.makers == nil && !slices.ContainsFunc(types, p.uses) {
		return devicekey.Attestation{}, nil
	}
	if p.makers == nil {
		var err error
		if p.makers, err = p.newMakers(); err != nil {
			return devicekey.Attestation{}, err
		}
	}
	return p.makers.by, nil
}

// statements are what a phone can say of a new key, by word; nil: nothing.
func (p *play) statements() map[string]func(app.Prompt, string) (any, error) {
	android := func(edit func(*androidkeytest.Draft)) func(app.Prompt, string) (any, error) {
		return func(prompt app.Prompt, signed string) (any, error) { return p.androidSays(prompt, signed, edit) }
	}
	return map[string]func(app.Prompt, string) (any, error){
		"ok":         android(func(*androidkeytest.Draft) {}),
		"iphone":     p.appleSays,
		"wrong":      android(func(*androidkeytest.Draft) {}),
		"unattested": nil,
		"emulator":   android(func(d *androidkeytest.Draft) { d.Level, d.KeyMintLevel, d.InSoftware, d.NoBoot = 0, 0, true, true }),
		"rooted":     android(func(d *androidkeytest.Draft) { d.Locked, d.BootState = false, 2 }),
	}
}

// androidSays is what the Keystore says of the key that has signed.
func (p *play) androidSays(prompt app.Prompt, signed string, edit func(*androidkeytest.Draft)) (any, error) {
	challenge, err := base64.RawURLEncoding.DecodeString(prompt.Challenge)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(signed)
	if err != nil {
		return nil, err
	}
	chain, err := p.makers.google.Attest(key, challenge, androidApp, appDigest(), edit)
	var text []string
	for _, der := range chain {
		text = append(text, base64.RawURLEncoding.EncodeToString(der))
	}
	return map[string]any{"format": "android-key", "chain": text}, err
}

// appleSays is what the app on an iPhone gets from the system, which from then on this phone is.
func (p *play) appleSays(prompt app.Prompt, signed string) (any, error) {
	challenge, err := base64.RawURLEncoding.DecodeString(prompt.Challenge)
	if err != nil {
		return nil, err
	}
	if p.iphone, err = p.makers.apple.Device(appleApp); err != nil {
		return nil, err
	}
	object, err := p.iphone.Attest(challenge)
	if err != nil {
		return nil, err
	}
	assertion, err := p.assert(signed)
	return map[string]any{"format": "apple-appattest", "object": base64.RawURLEncoding.EncodeToString(object), "assertion": assertion}, err
}

// assert is the word of the app on an iPhone for a signature.
func (p *play) assert(signed string) (string, error) {
	raw, err := p.iphone.Assert([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// vouched is what is stored of a phone that was attested before the play begins.
func (p *play) vouched(kind string) (account.DeviceData, error) {
	if kind == scenario.DeviceBound {
		return account.DeviceData{}, nil
	}
	var err error
	if p.makers, err = p.newMakers(); err != nil {
		return account.DeviceData{}, err
	}
	if kind == scenario.DeviceAndroid {
		return account.DeviceData{Attested: true, Platform: account.PlatformAndroid, Storage: androidkey.TEE.String(), Biometric: true, App: androidApp}, nil
	}
	if p.iphone, err = p.makers.apple.Device(appleApp); err != nil {
		return account.DeviceData{}, err
	}
	object, err := p.iphone.Attest([]byte("given"))
	if err != nil {
		return account.DeviceData{}, err
	}
	key, err := p.makers.by.Apple.Attest(object, []byte("given"), p.cast.Clock.Now())
	return account.DeviceData{
		Attested: true, Platform: account.PlatformIOS, Storage: account.StorageSecureEnclave, Biometric: true, App: key.App,
		AppAttest: &account.AppAttestData{Key: key.Point},
	}, err
}

// keyOf is the key in the header of a binding.
func keyOf(signed string) (*ecdsa.PublicKey, error) {
	raw, _, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return nil, err
	}
	var header struct {
		JWK struct{ X, Y string } `json:"jwk"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, err
	}
	point := []byte{4}
	for _, coordinate := range []string{header.JWK.X, header.JWK.Y} {
		c, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			return nil, err
		}
		point = append(point, c...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}
