package tour

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/makers"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/webauthntest"
)

//go:embed flows.yaml
var flowsYAML []byte

const clientID = "tour"

// world is the server with what is around it.
type world struct {
	opts   story.Options
	folder string
	mail   *mailbox
	staff  *directory
	makers *makers.Makers
	node   *node.Node
	wires  []*http.Transport
}

// person is somebody with a phone, and what they have and know.
type person struct {
	login, password, email, number string

	phone  *app.Device
	keys   *webauthntest.Authenticator
	makers *makers.Makers
	iphone *makers.IPhone
	app    generator
	paper  []string // recovery codes
	letter string   // activation code
	read   func(template string) (code string, err error)
	link   func() (uri string, err error)
	shown  string // by the page of a link
	now    func() time.Time
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("tour: %w", err), w.close())
		}
	}()
	if w.folder, err = os.MkdirTemp("", "stile-tour-"); err != nil {
		return w, err
	}
	if w.mail, err = openMailbox(ctx, opts.Patience); err != nil {
		return w, err
	}
	w.staff, err = openDirectory(ctx, opts.Now(), entry{
		dn: "uid=jane-ldap-password,ou=people,dc=bank,dc=example", password: firstPassword,
		attributes: map[string]string{"objectClass": "inetOrgPerson", "uid": "jane-ldap-password", "entryUUID": "3b7c9a1e-0d52-4a77-9f0e-5f4de1f6a001", "departmentNumber": "4711"},
	})
	if err != nil {
		return w, err
	}
	if w.makers, err = makers.New(opts.Now); err != nil {
		return w, err
	}
	google, apple := w.makers.Roots()
	files := map[string]string{
		"flows/flows.yaml": string(flowsYAML), "secret": rand.Text() + rand.Text(),
		"directory.pem": string(w.staff.ca), "directory.secret": searcherSecret, "google.pem": pemOf(google), "apple.pem": pemOf(apple),
		"stile.yaml": fmt.Sprintf("listen: 127.0.0.1:0\ndata_dir: data\ndefinitions: flows\n"+
			"delivery: { by: webhook, webhook: { url: %q, secret: { file: secret } } }\n"+
			"directories: { staff: { url: %q, ca: directory.pem, bind_password: { file: directory.secret } } }\n"+
			"devices: { android_apps: [%q], android_roots: google.pem, apple_apps: [%q], apple_roots: apple.pem }\n",
			w.mail.url, w.staff.url, makers.AndroidApp+"/"+fingerprint(makers.Certificate()), makers.AppleApp),
	}
	for name, text := range files {
		path := filepath.Join(w.folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return w, err
		}
	}
	cfg, err := config.Load(filepath.Join(w.folder, "stile.yaml"))
	if err != nil {
		return w, err
	}
	logger := opts.Logger
	if logger == nil {
		logger = zap.NewNop()
	}
	w.node, err = node.Start(ctx, cfg, node.Options{Logger: logger, Now: opts.Now})
	return w, err
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// fingerprint is a digest as keytool shows it.
func fingerprint(digest []byte) string {
	pairs := make([]string, len(digest))
	for i, b := range digest {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

func (w *world) close() error {
	var errs []error
	if w.node != nil {
		errs = append(errs, w.node.Shutdown(context.Background())) // also when the tour was cut short
	}
	if w.mail != nil {
		errs = append(errs, w.mail.server.Close())
	}
	if w.staff != nil {
		errs = append(errs, w.staff.close())
	}
	for _, t := range w.wires {
		t.CloseIdleConnections()
	}
	if w.folder != "" {
		errs = append(errs, os.RemoveAll(w.folder))
	}
	return errors.Join(errs...)
}

// newPerson makes the person of a chapter, as an administrator does at the counter.
func (w *world) newPerson(ctx context.Context, c chapter) (*person, error) {
	name := "jane-" + strings.ReplaceAll(c.name, "_", "-")
	p := &person{login: name, password: firstPassword, email: name + "@bank.example", now: w.opts.Now, makers: w.makers}
	if c.name == "sms_code" {
		p.number = "+41791234567"
	}
	if err := w.register(ctx, c, p); err != nil {
		return nil, err
	}
	p.read = func(template string) (string, error) {
		to := p.email
		if template == "sms_code" {
			to = p.number
		}
		m, err := w.mail.take(ctx, to, template)
		return m.Args["code"], err
	}
	p.link = func() (string, error) {
		m, err := w.mail.take(ctx, p.email, "magic_link")
		return m.Args["link"], err
	}
	p.keys = webauthntest.New(strings.Replace(w.node.URL(), "127.0.0.1", "localhost", 1)) // no address is a relying party
	var err error
	p.phone, err = app.NewDevice(app.DeviceConfig{Now: w.opts.Now, Biometrics: func() bool { return true }})
	return p, err
}

const firstPassword = "three quiet green hills"

// register makes the account. Who comes from the directory gets theirs by coming.
func (w *world) register(ctx context.Context, c chapter, p *person) error {
	if c.name == "ldap_password" {
		return nil
	}
	registrar, err := w.node.Base.Registrar("Stile tour", w.opts.Now)
	if err != nil {
		return err
	}
	if _, err := registrar.Add(ctx, users.Person{Login: p.login, Password: p.password, Email: p.email, Phone: p.number, Binding: assurance.AAL1}); err != nil {
		return err
	}
	if c.name == "activation_code" {
		issued, err := registrar.IssueCode(ctx, users.Code{Login: p.login, Channel: "letter", Lifetime: time.Hour, Binding: assurance.AAL1})
		if err != nil {
			return err
		}
		p.letter = issued.Code
	}
	return nil
}

// phoneOf is the person's app, which knows what to say in this run.
func (w *world) phoneOf(p *person, o outing) (*app.App, error) {
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "nobody", Password: "nothing"}})
	if err != nil {
		return nil, err
	}
	answers := map[string]func(json.RawMessage) (map[string]any, error){}
	for code, say := range o.answers {
		answers[code] = func(data json.RawMessage) (map[string]any, error) { return say(p, data) }
	}
	wire := &http.Transport{ForceAttemptHTTP2: false, ResponseHeaderTimeout: 30 * time.Second}
	w.wires = append(w.wires, wire)
	return app.New(app.Config{
		StileURL: w.node.URL(), ClientID: clientID, RedirectURI: "com.bank.tour:/oauth2", Device: p.phone, Browser: browser, Now: w.opts.Now,
		HTTPClient: &http.Client{Transport: &app.Wire{Who: "app", Next: wire, Cut: w.opts.Cut}},
		User:       app.User{Username: p.login, Password: p.password},
		Answers:    answers,
	})
}

// stepTypes are the step types of an outing's flow.
func (w *world) stepTypes(o outing) []string {
	set := w.node.Definitions()
	var out []string
	add := func(f *flowdefs.Flow) {
		for _, s := range f.Steps {
			out = append(out, s.Type)
		}
	}
	name := o.flow
	if t := set.Targets[o.target]; t != nil {
		name = t.Flow
		for _, more := range t.Authorize {
			add(set.Flows[more])
		}
	}
	add(set.Flows[name])
	return out
}

// types are all step types that there are.
func (w *world) types() []string {
	var out []string
	for _, t := range steps.Builtin(steps.Deps{}) {
		out = append(out, t.Name)
	}
	slices.Sort(out)
	return out
}

func promptOf(data json.RawMessage) (app.Prompt, error) {
	var p app.Prompt
	err := json.Unmarshal(data, &p)
	return p, err
}
