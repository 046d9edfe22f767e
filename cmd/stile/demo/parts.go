package demo

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pquerna/otp/totp"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/bank"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// Jane, as she is known to Stile and to the provider.
const (
	login            = "jane"
	password         = "three quiet green hills"
	pin              = "27182846"
	providerPassword = "a stile in the fence"
	clientID         = "bank-app"
)

// parts is everything that takes part, running.
type parts struct {
	folder   string
	provider Provider           // where Jane signs on
	own      *oidctest.Provider // nil: that one is somebody else's
	node     *node.Node
	bank     *bank.Bank
	app      *app.App
	seed     []byte // of Jane's one-time codes
	idle     []*http.Transport
	choice   string // what Jane picks when she may
	client   string // id of the app
	redirect string // address of the app
}

// wire is a transport that shows and can cut what somebody sends.
type wire func(who string, next http.RoundTripper) http.RoundTripper

func start(ctx context.Context, opts Options, wrap wire) (*parts, error) {
	p := &parts{client: clientID, redirect: RedirectURI}
	if opts.Story == storyStepUp {
		p.client, p.redirect = "gallery", "com.bank.gallery:/oauth2"
	}
	for _, part := range []func() error{
		func() error { return p.findProvider(opts) },
		func() error { return p.startNode(ctx, opts, wrap) },
		func() error { return p.addJane(ctx, opts) },
		func() error { return p.startBank(opts, wrap) },
		func() error { return p.makeApp(opts, wrap) },
	} {
		if err := part(); err != nil {
			return nil, errors.Join(fmt.Errorf("demo: %w", err), p.close())
		}
	}
	return p, nil
}

// transport makes connections of its own, so that closing leaves nothing behind.
func (p *parts) transport() *http.Transport {
	t := &http.Transport{ForceAttemptHTTP2: false, MaxIdleConnsPerHost: 4, ResponseHeaderTimeout: 30 * time.Second}
	p.idle = append(p.idle, t)
	return t
}

func (p *parts) path(name string) string { return filepath.Join(p.folder, name) }

// startNode starts Stile as "stile serve" would with this configuration file.
func (p *parts) startNode(ctx context.Context, opts Options, wrap wire) error {
	text := fmt.Sprintf(`listen: 127.0.0.1:0
data_dir: data
providers:
  corporate:
    issuer: %q
    client_secret: { file: provider-secret }
    network: %s
`, p.provider.Issuer, networkOf(p.provider.Issuer))
	if err := os.WriteFile(p.path("stile.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	cfg, err := config.Load(p.path("stile.yaml"))
	if err != nil {
		return err
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	p.node, err = node.Start(ctx, cfg, node.Options{
		Logger: opts.Logger, Now: opts.Now, ProviderTransport: wrap(whoClient, p.transport()),
	})
	return err
}

func (p *parts) addJane(ctx context.Context, opts Options) error {
	registrar, err := p.node.Base.Registrar("Stile demo", opts.Now)
	if err != nil {
		return err
	}
	added, err := registrar.Add(ctx, users.Person{
		Login: login, Password: password, PIN: pin, TOTP: true, Binding: assurance.AAL2,
		Links:      []users.Link{{Issuer: p.provider.Issuer, Subject: p.provider.Subject}},
		Attributes: map[string]string{"branch": "Zurich"},
	})
	p.seed = added.Seed
	return err
}

func (p *parts) startBank(opts Options, wrap wire) (err error) {
	strong := []string{"aal2", "aal3"}
	p.bank, err = bank.New(bank.Config{
		Issuer: p.node.URL(), JWKSURL: p.node.URL() + "/.well-known/jwks.json", Now: opts.Now,
		HTTPClient: &http.Client{Transport: wrap(whoBank, p.transport()), Timeout: 10 * time.Second},
		Resources: []bank.Resource{
			{Path: "/accounts", Audience: "https://accounts.bank.example"},
			{Path: "/accounts/payments", Audience: "https://accounts.bank.example", ACRValues: strong, AMR: []string{"mfa"}, MaxAge: 5 * time.Minute},
			{Path: "/payments", Audience: "https://payments.bank.example", ACRValues: strong, AMR: []string{"mfa"}, MaxAge: 5 * time.Minute},
			{Path: "/notes", Audience: "https://notes.bank.example"},
			{Path: "/notes/vault", Audience: "https://notes.bank.example", ACRValues: strong, MaxAge: 10 * time.Minute},
			{Path: "/vault", Audience: "https://vault.bank.example", ACRValues: strong, AMR: []string{"otp"}, MaxAge: 10 * time.Minute},
			{Path: "/vault/seal", Audience: "https://vault.bank.example", ACRValues: []string{"phr", "phrh"}},
			{Path: "/balance", Audience: "https://balance.bank.example", ACRValues: []string{"aal1", "aal2", "aal3"}},
		},
	})
	if err != nil {
		return err
	}
	return p.bank.Start("127.0.0.1:0")
}

func (p *parts) makeApp(opts Options, wrap wire) error {
	device, err := app.NewDevice(app.DeviceConfig{Now: opts.Now, Biometrics: func() bool { return true }})
	if err != nil {
		return err
	}
	browser, err := app.NewBrowser(app.BrowserConfig{
		Transport: wrap(whoBrowser, p.transport()), Person: app.Person{Username: p.provider.Username, Password: p.provider.Password},
	})
	if err != nil {
		return err
	}
	p.app, err = app.New(app.Config{
		StileURL: p.node.URL(), ClientID: p.client, RedirectURI: p.redirect, Device: device, Browser: browser, Now: opts.Now,
		HTTPClient: &http.Client{Transport: wrap(whoApp, p.transport())},
		User:       app.User{Username: login, Password: password, PIN: pin, TOTP: p.code},
		Choose:     func([]app.Option) string { return p.choice },
	})
	return err
}

// code reads Jane's authenticator app.
func (p *parts) code(now time.Time) (string, error) {
	return totp.GenerateCode(p.secret(), now)
}

func (p *parts) secret() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(p.seed)
}

// close ends everything and removes the data.
func (p *parts) close() error {
	var errs []error
	if p.bank != nil {
		errs = append(errs, p.bank.Close())
	}
	if p.node != nil {
		errs = append(errs, p.node.Shutdown(context.Background())) // also when the story was cut short
	}
	if p.own != nil {
		errs = append(errs, p.own.Close())
	}
	for _, t := range p.idle {
		t.CloseIdleConnections()
	}
	if p.folder != "" {
		errs = append(errs, os.RemoveAll(p.folder))
	}
	return errors.Join(errs...)
}

// networkOf is where the provider of an issuer may be: one of this machine or of
// a private network must be said to be one.
func networkOf(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.Scheme == "http" {
		return "loopback"
	}
	return "private"
}
