package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

type usersCmd struct {
	Add      usersAddCmd      `cmd:"" help:"Add an account to the configured store."`
	Show     usersShowCmd     `cmd:"" help:"Show an account and what is bound to it, without secrets."`
	Token    usersTokenCmd    `cmd:"" help:"Bind a token that comes with its seed to an account."`
	Code     usersCodeCmd     `cmd:"" name:"activation-code" help:"Issue codes with which somebody gets in for the first time: sent, or printed once, here."`
	Password usersPasswordCmd `cmd:"" help:"Set a password in the place of the account's."`
	Remove   usersRemoveCmd   `cmd:"" help:"Take authenticators of an account out of use, such as those of a lost phone."`
	Disable  usersDisableCmd  `cmd:"" help:"Let nobody use an account, and end its sessions."`
	Enable   usersEnableCmd   `cmd:"" help:"Let an account be used again."`
	Revoke   usersRevokeCmd   `cmd:"" help:"Take back what an account has agreed to."`
	Unlock   usersUnlockCmd   `cmd:"" help:"Forget the failed attempts on authenticators of an account, also if they are locked."`
}

type usersAddCmd struct {
	format
	Login        string   `arg:"" help:"Login identifier."`
	PasswordFile string   `placeholder:"FILE" help:"Read the password from the first line of a file, - for standard input."`
	HashFile     string   `name:"password-hash-file" placeholder:"FILE" help:"Take over a password: read its hash, as another system made it, from the first line of a file."`
	MustChange   bool     `help:"The password lets nobody in before it is changed."`
	PINFile      string   `name:"pin-file" placeholder:"FILE" help:"Read the PIN from the first line of a file, - for standard input."`
	TOTP         bool     `name:"totp" help:"Make a seed for one-time codes; its otpauth URI is printed once, here."`
	Email        string   `placeholder:"ADDRESS" help:"E-mail address that codes are sent to. It is bound as it stands: be sure that it is the person's."`
	Phone        string   `placeholder:"NUMBER" help:"Telephone number with its country, such as +41791234567, that codes are sent to. It is bound as it stands."`
	Link         []string `sep:"none" placeholder:"ISSUER=SUBJECT" help:"Link the identity SUBJECT at the provider ISSUER. Repeatable."`
	Attribute    []string `sep:"none" placeholder:"KEY=VALUE" help:"An attribute of the account. Repeatable."`
	Binding      string   `enum:"aal1,aal2,aal3" default:"aal1" help:"How sure you are of whom you hand the authenticators to (${enum}); what they can prove never exceeds it."`
}

type userLine struct {
	Subject string `json:"subject"`
	Login   string `json:"login"`
	Binding string `json:"binding"`
	TOTPURI string `json:"totpUri,omitempty"`
}

// Run adds the account.
func (c usersAddCmd) Run(w *world) error {
	person, err := c.person(w)
	if err != nil {
		return err
	}
	cfg, _, err := w.configuration()
	if err != nil {
		return err
	}
	if cfg.Store.Type == "memory" {
		return errors.New("the configured store is memory: an account added to it would be gone at once")
	}
	added, err := add(w, cfg, person)
	if errors.Is(err, account.ErrExists) {
		return fmt.Errorf("the login %q or one of the links belongs to an account already", person.Login)
	}
	if err != nil {
		return err
	}
	return c.show(w, added)
}

func add(w *world, cfg config.Config, p users.Person) (out users.Added, err error) {
	base, err := node.OpenBase(w.ctx, cfg, w.out)
	if err != nil {
		return users.Added{}, err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	registrar, err := base.Registrar(issuerName(cfg), w.now)
	if err != nil {
		return users.Added{}, err
	}
	return registrar.Add(w.ctx, p)
}

// issuerName is what authenticator apps show beside the login.
func issuerName(cfg config.Config) string {
	if u, err := url.Parse(cfg.BaseURL); err == nil && u.Hostname() != "" && !strings.Contains(u.Hostname(), ":") {
		return u.Hostname()
	}
	return "Stile"
}

func (c usersAddCmd) show(w *world, a users.Added) error {
	line := userLine{Subject: a.Subject, Login: a.Login, Binding: a.Binding.String(), TOTPURI: a.URI}
	if c.json() {
		return w.printJSON(line)
	}
	fmt.Fprintf(w.out, "subject %s\nlogin   %s\nbinding %s\n", line.Subject, line.Login, line.Binding)
	if line.TOTPURI != "" {
		fmt.Fprintf(w.out, "totp    %s\n", line.TOTPURI)
	}
	return nil
}

// person turns the flags into a person. Secrets come from files and standard
// input: arguments are visible to every process of the machine.
func (c usersAddCmd) person(w *world) (users.Person, error) {
	p := users.Person{Login: c.Login, MustChange: c.MustChange, TOTP: c.TOTP, Email: c.Email, Phone: c.Phone}
	switch {
	case c.PasswordFile == "-" && c.PINFile == "-":
		return p, &usageError{"password and PIN cannot both come from standard input"}
	case c.PasswordFile != "" && c.HashFile != "":
		return p, &usageError{"--password-file and --password-hash-file are two passwords"}
	case c.MustChange && c.PasswordFile == "" && c.HashFile == "":
		return p, &usageError{"--must-change is about a password, and none is given"}
	}
	var err error
	if p.Binding, err = assurance.ParseLevel(c.Binding); err != nil {
		return p, err
	}
	links, err := pairs("--link", c.Link)
	if err != nil {
		return p, err
	}
	for _, l := range links {
		p.Links = append(p.Links, users.Link{Issuer: l[0], Subject: l[1]})
	}
	attributes, err := pairs("--attribute", c.Attribute)
	if err != nil {
		return p, err
	}
	for _, a := range attributes {
		if p.Attributes == nil {
			p.Attributes = map[string]string{}
		}
		p.Attributes[a[0]] = a[1]
	}
	if p.Hash, err = secretLine(w.in, c.HashFile); err != nil {
		return p, err
	}
	if p.Password, err = secretLine(w.in, c.PasswordFile); err != nil {
		return p, err
	}
	p.PIN, err = secretLine(w.in, c.PINFile)
	return p, err
}

// pairs splits NAME=VALUE at the first equals sign; no name is given twice with different values.
func pairs(flag string, all []string) ([][2]string, error) {
	var out [][2]string
	for _, text := range all {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return nil, &usageError{fmt.Sprintf("%s %q is not of the form NAME=VALUE", flag, text)}
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

const maxSecretFile = 4096

// secretLine reads the first line of a file that must not be empty; "" reads nothing.
func secretLine(in io.Reader, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSecretFile))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", &usageError{fmt.Sprintf("%s holds no secret in its first line", path)}
	}
	return line, nil
}
