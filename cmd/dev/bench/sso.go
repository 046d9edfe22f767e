package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// ProviderCommand starts the provider that people sign on at.
const ProviderCommand = "bench-provider"

const (
	audience    = "https://ledger.bank.example"
	ssoRedirect = "com.bank.app:/oauth2"
	ssoSecret   = "a secret of the client at the provider"
)

// signOn is one row of the table of sign-ons at a provider.
type signOn struct {
	Server string        `json:"server"`
	CPU    time.Duration `json:"cpuPerFlow"`
	Allocs float64       `json:"allocationsPerFlow"`
	Bytes  float64       `json:"bytesPerFlow"`
}

// Provider is the body of the provider's process: what it does costs neither
// the server nor its floor.
func Provider(ctx context.Context, in io.Reader, out io.Writer) error {
	var s setting
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return err
	}
	p, err := oidctest.Start(oidctest.Config{Now: time.Now, Clients: []oidctest.Client{{
		ID: "stile", Secret: ssoSecret, RedirectURIs: []string{ssoRedirect}, AllowedScopes: []string{"openid"},
	}}})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	if err := json.NewEncoder(out).Encode(ready{URL: p.Issuer()}); err != nil {
		return err
	}
	return wait(ctx)
}

// measureSSO measures complete flows of one sign-on step at a provider, which
// is a process of its own, and then the floor. Everything is in memory.
func measureSSO(ctx context.Context, flows int) ([]signOn, error) {
	idp, err := spawn(ctx, ProviderCommand, setting{})
	if err != nil {
		return nil, err
	}
	defer idp.end()
	var all []signOn
	for _, command := range []string{ServeCommand, FloorCommand} {
		r, err := oneSSO(ctx, command, idp.URL, flows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func oneSSO(ctx context.Context, command, provider string, flows int) (signOn, error) {
	r := signOn{Server: map[string]string{ServeCommand: "stile", FloorCommand: "floor"}[command]}
	folder, err := os.MkdirTemp("", "stile-bench")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	p, err := spawn(ctx, command, setting{Store: "memory", Folder: folder, RunBytes: 1500, Provider: provider})
	if err != nil {
		return r, err
	}
	defer p.end()
	person, err := browser.New(browser.Config{})
	if err != nil {
		return r, err
	}
	d := &driver{url: p.URL, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	if err := d.fetchKey(ctx); err != nil {
		return r, err
	}
	drive := func(n int) (usage, error) {
		for range n {
			if err := d.signOn(ctx, person); err != nil {
				return usage{}, err
			}
		}
		return measure(ctx, p.cmd.Process.Pid, p.URL)
	}
	before, err := drive(max(1, flows/10)) // warm up; the person stays signed in at the provider
	if err != nil {
		return r, err
	}
	after, err := drive(flows)
	n := float64(flows)
	r.CPU = (after.cpu - before.cpu) / time.Duration(flows)
	r.Allocs, r.Bytes = (after.allocs-before.allocs)/n, (after.bytes-before.bytes)/n
	return r, err
}

// signOn goes once through start, the provider and back, and verifies the token.
func (d *driver) signOn(ctx context.Context, person *browser.Browser) error {
	a, err := d.post(ctx, "/v1/flows", "", map[string]string{"clientId": "bench", "target": "ledger"})
	if err != nil {
		return err
	}
	if a.NextStep == nil {
		return errors.New("bench: no sign-on was asked for")
	}
	query, err := visit(ctx, person, a.NextStep.Data.AuthorizationRequestURI)
	if err != nil {
		return err
	}
	if a, err = d.post(ctx, a.NextStep.Actions[0].Href, a.Handle, map[string]string{"queryString": query}); err != nil {
		return err
	}
	return d.verify(a)
}

// visit goes through the provider's pages, as far as it shows any.
func visit(ctx context.Context, person *browser.Browser, address string) (string, error) {
	page, err := person.Open(ctx, address)
	who := oidctest.DefaultUser()
	for err == nil && page.Handed == nil {
		values, button := map[string]string(nil), "Allow"
		if _, gone := page.Form("password"); gone == nil {
			values, button = map[string]string{"username": who.Username, "password": who.Password}, "Sign in"
		}
		page, err = page.Submit(ctx, button, values)
	}
	if err != nil {
		return "", err
	}
	return page.Handed.RawQuery, nil
}

func tableSSO(out io.Writer, all []signOn) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "sign-on at a provider\tCPU/flow\tof floor\tallocs/flow\tkB/flow\t")
	least := all[len(all)-1].CPU
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%.2f ms\t%.2f\t%.0f\t%.1f\t\n", r.Server, float64(r.CPU)/float64(time.Millisecond), float64(r.CPU)/float64(least), r.Allocs, r.Bytes/1024)
	}
	return w.Flush()
}
