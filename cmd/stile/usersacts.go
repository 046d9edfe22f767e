package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

type usersShowCmd struct {
	format
	Login string `arg:"" help:"Login identifier."`
}

type shownAuthenticator struct {
	ID       string     `json:"id"`
	Type     string     `json:"type"`
	Name     string     `json:"name,omitempty"`
	Status   string     `json:"status"`
	Binding  string     `json:"binding"`
	Created  time.Time  `json:"createdAt"`
	LastUsed *time.Time `json:"lastUsedAt,omitempty"`
}

type shownLine struct {
	Subject        string               `json:"subject"`
	Status         string               `json:"status"`
	Logins         []string             `json:"logins"`
	Attributes     map[string]string    `json:"attributes,omitempty"`
	Authenticators []shownAuthenticator `json:"authenticators"`
	Agreements     []shownAgreement     `json:"agreements,omitempty"`
}

type shownAgreement struct {
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	Scopes []string  `json:"scopes,omitempty"`
	Given  time.Time `json:"givenAt"`
}

// Run shows the account, without its secrets.
func (c usersShowCmd) Run(w *world) error {
	var found users.Shown
	_, err := issue(w, c.Login, func(r *users.Registrar) (_ users.Issued, err error) {
		found, err = r.Show(w.ctx, c.Login)
		return users.Issued{}, err
	})
	if err != nil {
		return err
	}
	line := shownLine{found.Subject, string(found.Status), found.Logins, found.Attributes, []shownAuthenticator{}, nil}
	for _, a := range found.Authenticators {
		shown := shownAuthenticator{ID: a.ID, Type: a.Type, Name: a.Name, Status: string(a.Status), Binding: a.Binding, Created: a.Created}
		if !a.LastUsed.IsZero() {
			shown.LastUsed = &a.LastUsed
		}
		line.Authenticators = append(line.Authenticators, shown)
	}
	for _, a := range found.Agreements {
		line.Agreements = append(line.Agreements, shownAgreement{a.Kind, a.Name, a.Scopes, a.Given})
	}
	if c.json() {
		return w.printJSON(line)
	}
	fmt.Fprintf(w.out, "subject %s\nstatus  %s\n", line.Subject, line.Status)
	table := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, a := range line.Authenticators {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.Type, a.Status, a.Binding, a.Created.Format(time.DateOnly), a.Name)
	}
	for _, a := range line.Agreements {
		fmt.Fprintf(table, "%s\tagreed\t%s\t%s\t%s\n", a.Name, a.Kind, strings.Join(a.Scopes, " "), a.Given.Format(time.DateOnly))
	}
	return table.Flush()
}

type usersDisableCmd struct {
	Login string `arg:"" help:"Login identifier."`
}

// Run disables the account and ends its sessions. A running server goes by it at once.
func (c usersDisableCmd) Run(w *world) error { return enable(w, c.Login, false) }

type usersEnableCmd struct {
	Login string `arg:"" help:"Login identifier."`
}

// Run lets the account be used again.
func (c usersEnableCmd) Run(w *world) error { return enable(w, c.Login, true) }

func enable(w *world, login string, usable bool) error {
	done, err := issue(w, login, func(r *users.Registrar) (users.Issued, error) { return r.Enable(w.ctx, login, usable) })
	if err != nil {
		return err
	}
	status := account.Disabled
	if usable {
		status = account.Active
	}
	fmt.Fprintf(w.out, "subject %s\nstatus  %s\n", done.Subject, status)
	return nil
}

type usersPasswordCmd struct {
	Login        string `arg:"" help:"Login identifier."`
	PasswordFile string `xor:"secret" required:"" placeholder:"FILE" help:"Read the password from the first line of a file, - for standard input."`
	HashFile     string `xor:"secret" required:"" name:"password-hash-file" placeholder:"FILE" help:"Take over a password: read its hash, as another system made it, from the first line of a file."`
	MustChange   bool   `default:"true" negatable:"" help:"The password lets nobody in before it is changed: what somebody else has set is known to two."`
	Binding      string `enum:"aal1,aal2,aal3" default:"aal1" help:"How sure you are of whom you hand the password to (${enum}); what it proves never exceeds it."`
}

// Run sets the password in the place of the one before.
func (c usersPasswordCmd) Run(w *world) error {
	p := users.Password{Login: c.Login, MustChange: c.MustChange}
	var err error
	if p.Binding, err = assurance.ParseLevel(c.Binding); err != nil {
		return err
	}
	if p.Password, err = secretLine(w.in, c.PasswordFile); err != nil {
		return err
	}
	if p.Hash, err = secretLine(w.in, c.HashFile); err != nil {
		return err
	}
	set, err := issue(w, c.Login, func(r *users.Registrar) (users.Issued, error) { return r.SetPassword(w.ctx, p) })
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "subject %s\nbinding %s\n", set.Subject, set.Binding)
	return nil
}

type usersRemoveCmd struct {
	format
	Login string `arg:"" help:"Login identifier."`
	ID    string `name:"id" xor:"what" required:"" placeholder:"ID" help:"The authenticator, as users show lists it."`
	Type  string `xor:"what" required:"" placeholder:"TYPE" help:"Every authenticator of this type, such as device."`
}

type removedLine struct {
	Subject string   `json:"subject"`
	Removed []string `json:"removed"`
}

// Run takes authenticators out of use for good, and ends the account's sessions.
func (c usersRemoveCmd) Run(w *world) error {
	var line removedLine
	_, err := issue(w, c.Login, func(r *users.Registrar) (_ users.Issued, err error) {
		line.Subject, line.Removed, err = r.Remove(w.ctx, c.Login, c.ID, c.Type)
		return users.Issued{}, err
	})
	if err != nil {
		return err
	}
	if c.json() {
		return w.printJSON(line)
	}
	fmt.Fprintf(w.out, "subject %s\n", line.Subject)
	for _, id := range line.Removed {
		fmt.Fprintf(w.out, "removed %s\n", id)
	}
	return nil
}
