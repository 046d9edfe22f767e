package main

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

type usersCodeCmd struct {
	format
	Login    string        `arg:"" help:"Login identifier."`
	Channel  string        `enum:"branch,letter,telephone,email,sms" default:"letter" help:"How you give the code to the person (${enum}): it is printed once, here."`
	Send     []string      `enum:"mail,sms" placeholder:"mail,sms" help:"Send a code to the account's address, its telephone, or one to each (${enum}); nobody here sees them."`
	Lifetime time.Duration `default:"336h" placeholder:"DURATION" help:"How long it is good, up to 90 days."`
	Binding  string        `enum:"aal1,aal2" default:"aal1" help:"How sure you are of who gets it (${enum}); what is proved with it never exceeds it."`
}

type usersTokenCmd struct {
	format
	Login    string        `arg:"" help:"Login identifier."`
	SeedFile string        `required:"" placeholder:"FILE" help:"Read the seed, in hexadecimal or base32, from the first line of a file, - for standard input."`
	Type     string        `enum:"hotp,totp" default:"hotp" help:"Whether its codes are counted or go by the time (${enum})."`
	Digits   int           `default:"6" help:"Digits of a code, 6 to 8."`
	Counter  uint64        `default:"0" help:"Of hotp: the first counter whose code is good."`
	Period   time.Duration `default:"30s" placeholder:"DURATION" help:"Of totp: how long a code is shown."`
	Name     string        `placeholder:"NAME" help:"What the token is called, such as its serial number."`
	Binding  string        `enum:"aal1,aal2,aal3" default:"aal1" help:"How sure you are of whom you hand the token to (${enum}); what it proves never exceeds it."`
}

type issuedLine struct {
	Subject string     `json:"subject"`
	Binding string     `json:"binding"`
	Channel string     `json:"channel,omitempty"`
	Expires *time.Time `json:"expiresAt,omitempty"`
	Code    string     `json:"code,omitempty"`
}

// Run issues the codes, and sends them or prints the one, once.
func (c usersCodeCmd) Run(w *world) error {
	level, err := assurance.ParseLevel(c.Binding)
	if err != nil {
		return err
	}
	codes := []users.Code{{Login: c.Login, Channel: c.Channel, Lifetime: c.Lifetime, Binding: level}}
	if len(c.Send) > 0 {
		if codes, err = c.sent(w, level); err != nil {
			return err
		}
	}
	for _, code := range codes {
		issued, err := issue(w, c.Login, func(r *users.Registrar) (users.Issued, error) { return r.IssueCode(w.ctx, code) })
		if err != nil {
			return err
		}
		if err := c.show(w, issued); err != nil {
			return err
		}
	}
	return nil
}

// sent are the codes that are sent, one for each way. A mail server takes no text messages.
func (c usersCodeCmd) sent(w *world, level assurance.Level) ([]users.Code, error) {
	cfg, _, err := w.configuration()
	if err != nil {
		return nil, err
	}
	var codes []users.Code
	for i, way := range c.Send {
		channel := map[string]string{"mail": account.ByMail, "sms": account.BySMS}[way]
		switch {
		case slices.Contains(c.Send[:i], way):
			return nil, &usageError{"--send " + way + " is there twice: two codes that come by one way are one"}
		case cfg.Delivery.By == "none", cfg.Delivery.By == "smtp" && channel == account.BySMS:
			return nil, fmt.Errorf("nothing is configured that carries it by %s (delivery.by)", way)
		}
		codes = append(codes, users.Code{Login: c.Login, Channel: channel, Lifetime: c.Lifetime, Binding: level, Send: true})
	}
	return codes, nil
}

func (c usersCodeCmd) show(w *world, issued users.Issued) error {
	if c.json() {
		return w.printJSON(issuedLine{issued.Subject, issued.Binding.String(), issued.Channel, &issued.Expires, issued.Code})
	}
	fmt.Fprintf(w.out, "subject %s\nbinding %s\nchannel %s\nexpires %s\n", issued.Subject, issued.Binding, issued.Channel, issued.Expires.Format(time.RFC3339))
	if issued.Code != "" {
		fmt.Fprintf(w.out, "code    %s\n", issued.Code)
	}
	return nil
}

// Run binds the token.
func (c usersTokenCmd) Run(w *world) error {
	level, err := assurance.ParseLevel(c.Binding)
	if err != nil {
		return err
	}
	text, err := secretLine(w.in, c.SeedFile)
	if err != nil {
		return err
	}
	seed, err := parseSeed(text)
	if err != nil {
		return err
	}
	issued, err := issue(w, c.Login, func(r *users.Registrar) (users.Issued, error) {
		return r.AddToken(w.ctx, users.Token{
			Login: c.Login, Type: c.Type, Seed: seed, Digits: c.Digits, Counter: c.Counter, Period: c.Period, Name: c.Name, Binding: level,
		})
	})
	if err != nil {
		return err
	}
	if c.json() {
		return w.printJSON(issuedLine{Subject: issued.Subject, Binding: issued.Binding.String()})
	}
	fmt.Fprintf(w.out, "subject %s\nbinding %s\n", issued.Subject, issued.Binding)
	return nil
}

// parseSeed reads what makers deliver. What is hexadecimal of an even length is
// that, also where it could be base32. The error does not hold the seed.
func parseSeed(text string) ([]byte, error) {
	text = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
	if seed, err := hex.DecodeString(text); err == nil {
		return seed, nil
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, &usageError{"the seed is neither hexadecimal nor base32"}
	}
	return seed, nil
}

// issue opens the configured store for one issue.
func issue(w *world, login string, do func(*users.Registrar) (users.Issued, error)) (out users.Issued, err error) {
	cfg, _, err := w.configuration()
	if err != nil {
		return out, err
	}
	if cfg.Store.Type == "memory" {
		return out, errors.New("the configured store is memory: its accounts are in the server that has it, and in no other process")
	}
	base, err := node.OpenBase(w.ctx, cfg, w.out)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	registrar, err := base.Registrar(issuerName(cfg), w.now)
	if err != nil {
		return out, err
	}
	out, err = do(registrar)
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrLogin) {
		err = fmt.Errorf("no account has the login %q", login)
	}
	return out, err
}
