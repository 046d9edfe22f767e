package stage

import (
	"crypto/x509"
	"slices"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/makers"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/devicekey"
)

// trusted are who makes the phones of a play, and what believes them.
type trusted struct {
	*makers.Makers
	by devicekey.Attestation
}

func (p *play) newMakers() (*trusted, error) {
	made, err := makers.New(p.cast.Clock.Now)
	if err != nil {
		return nil, err
	}
	m := &trusted{Makers: made}
	google, apple := made.Roots()
	m.by.Android, err = androidkey.New(androidkey.Config{
		Roots: []*x509.Certificate{google}, Apps: []androidkey.App{{Package: makers.AndroidApp, Certificate: makers.Certificate()}},
	})
	if err != nil {
		return nil, err
	}
	m.by.Apple, err = appattest.New(appattest.Config{Roots: []*x509.Certificate{apple}, Apps: []string{makers.AppleApp}})
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
	android := func(phone makers.Phone) func(app.Prompt, string) (any, error) {
		return func(prompt app.Prompt, signed string) (any, error) {
			return p.makers.Android(prompt.Challenge, signed, phone)
		}
	}
	return map[string]func(app.Prompt, string) (any, error){
		"ok":         android(makers.Good),
		"iphone":     p.appleSays,
		"wrong":      android(makers.Good),
		"unattested": nil,
		"emulator":   android(makers.Emulator),
		"rooted":     android(makers.Rooted),
	}
}

// appleSays is what the app on an iPhone says, which from then on this phone is.
func (p *play) appleSays(prompt app.Prompt, signed string) (_ any, err error) {
	if p.iphone, err = p.makers.IPhone(); err != nil {
		return nil, err
	}
	return p.iphone.Says(prompt.Challenge, signed)
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
		return account.DeviceData{Attested: true, Platform: account.PlatformAndroid, Storage: androidkey.TEE.String(), Biometric: true, App: makers.AndroidApp}, nil
	}
	if p.iphone, err = p.makers.IPhone(); err != nil {
		return account.DeviceData{}, err
	}
	object, err := p.iphone.Object([]byte("given"))
	if err != nil {
		return account.DeviceData{}, err
	}
	key, err := p.makers.by.Apple.Attest(object, []byte("given"), p.cast.Clock.Now())
	return account.DeviceData{
		Attested: true, Platform: account.PlatformIOS, Storage: account.StorageSecureEnclave, Biometric: true, App: key.App,
		AppAttest: &account.AppAttestData{Key: key.Point},
	}, err
}
