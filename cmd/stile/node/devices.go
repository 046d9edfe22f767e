package node

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/webauthn"
)

// devices makes what verifies the attestations of phones. A kind of phone
// without an app of ours has none.
func (n *Node) devices() (by devicekey.Attestation, err error) {
	cfg := n.cfg.Devices
	if len(cfg.Android) > 0 {
		if by.Android, err = android(cfg); err != nil {
			return by, fmt.Errorf("node: devices: %w", err)
		}
		if cfg.Revocations == "" {
			n.opts.Logger.Warn("no list of revoked certificates (devices.revocations): stolen keys of phones are believed")
		}
	}
	if len(cfg.Apple) > 0 {
		if by.Apple, err = apple(cfg); err != nil {
			return by, fmt.Errorf("node: devices: %w", err)
		}
	}
	if cfg.Development {
		n.opts.Logger.Warn("emulators and development builds are believed (devices.development)")
	}
	return by, nil
}

func android(cfg config.Devices) (*androidkey.Verifier, error) {
	c := androidkey.Config{MinPatch: cfg.MinPatch, MaxOpen: cfg.MaxOpen, InsecureDevelopment: cfg.Development}
	for _, text := range cfg.Android {
		app, err := webauthn.ParseAndroidApp(text)
		if err != nil {
			return nil, fmt.Errorf("android_apps: %w", err)
		}
		c.Apps = append(c.Apps, androidkey.App{Package: app.Package, Certificate: app.Certificate})
	}
	var err error
	if c.Roots, err = roots(androidkey.Roots, androidkey.ParseRoots, cfg.AndroidRoots); err != nil {
		return nil, fmt.Errorf("android_roots: %w", err)
	}
	if cfg.Revocations != "" {
		if c.Revocations, err = androidkey.OpenRevocations(cfg.Revocations, cfg.RevocationAge); err != nil {
			return nil, err
		}
	}
	return androidkey.New(c)
}

func apple(cfg config.Devices) (*appattest.Verifier, error) {
	for _, text := range cfg.Apple {
		if err := webauthn.CheckAppleApp(text); err != nil {
			return nil, fmt.Errorf("apple_apps: %w", err)
		}
	}
	trusted, err := roots(appattest.Roots, appattest.ParseRoots, cfg.AppleRoots)
	if err != nil {
		return nil, fmt.Errorf("apple_roots: %w", err)
	}
	return appattest.New(appattest.Config{Roots: trusted, Apps: cfg.Apple, InsecureDevelopment: cfg.Development})
}

// roots are those that are built in, and those of the file, if one is named.
func roots(own func() ([]*x509.Certificate, error), parse func([]byte) ([]*x509.Certificate, error), file string) ([]*x509.Certificate, error) {
	all, err := own()
	if err != nil || file == "" {
		return all, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	more, err := parse(text)
	return append(all, more...), err
}
