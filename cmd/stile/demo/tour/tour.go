// Package tour plays each authenticator once, over HTTP, against a server as
// "stile serve" runs it: somebody binds it, and then uses it.
//
// Every chapter has a person and a phone of its own. What they answer with comes
// from soft authenticators that share no code with what verifies it: the demo's
// phone, a WebAuthn authenticator in software, and a few lines of RFC 4226. What
// each run must have proved is written in the chapter; a run that proves
// anything else, or does not complete, ends the tour with a [story.Error].
//
// One more authenticator is one more entry in chapters.go and its flows in flows.yaml.
package tour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// chapter is one authenticator.
type chapter struct {
	name string // of the step type that uses it
	what string // in words
	runs []outing
	told []string // the notices that its owner gets, in order
}

// outing is one run of a flow, and what must come of it.
type outing struct {
	what    string // in words
	flow    string // or
	target  string
	hinted  bool // the app says who is coming, as it remembers
	answers map[string]answer
	approve map[string]string // the transaction that is to be approved
	refused string            // code of the problem that it has to end with; "": it completes
	acr     string
	amr     []string
}

// answer is what person and phone say to a prompt.
type answer func(p *person, data json.RawMessage) (map[string]any, error)

// Play starts the server, plays every chapter and ends everything. What goes
// wrong in a chapter is a [*story.Error], and has been printed.
func Play(ctx context.Context, opts story.Options) error { return play(ctx, opts, chapters()) }

func play(ctx context.Context, opts story.Options, all []chapter) (err error) {
	if opts.Out == nil || opts.Now == nil {
		return errors.New("tour: Out and Now are required")
	}
	if opts.Patience <= 0 {
		opts.Patience = 20 * time.Second
	}
	w, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	told := map[string]bool{}
	for _, c := range all {
		w.opts.Print(fmt.Sprintf("\n%s: %s\n", c.name, c.what), map[string]any{"chapter": c.name, "title": c.what})
		if err := w.play(ctx, c, told); err != nil {
			w.opts.Print("\nfailed: "+err.Error()+"\n", map[string]any{"ok": false, "error": err.Error()})
			return err
		}
	}
	rest := slices.DeleteFunc(w.types(), func(name string) bool { return told[name] })
	w.opts.Print(fmt.Sprintf("\nAll %d authenticators were bound and used as they should.\nNot shown here: %s\n", len(all), strings.Join(rest, ", ")),
		map[string]any{"ok": true, "chapters": len(all), "shown": slices.Sorted(maps.Keys(told)), "rest": rest})
	return nil
}

// play plays the runs of a chapter, one after the other, with one person and one phone.
func (w *world) play(ctx context.Context, c chapter, told map[string]bool) error {
	p, err := w.newPerson(ctx, c)
	if err != nil {
		return &story.Error{Scene: c.name, Line: "somebody comes", Err: err}
	}
	for _, o := range c.runs {
		w.opts.Pause(ctx)
		got, err := w.run(ctx, p, o)
		if err != nil {
			return &story.Error{Scene: c.name, Line: o.what, Err: err}
		}
		for _, typ := range w.stepTypes(o) {
			told[typ] = true
		}
		if o.refused != "" {
			w.opts.Print(fmt.Sprintf("  %s\n      refused   %s\n", o.what, o.refused), map[string]any{"chapter": c.name, "run": o.what, "refused": o.refused})
			continue
		}
		w.opts.Print(fmt.Sprintf("  %s\n      asked for %s\n      proved    acr %s, amr %s\n", o.what, strings.Join(got.Steps, ", "), got.ACR, strings.Join(got.AMR, " ")),
			map[string]any{"chapter": c.name, "run": o.what, "steps": got.Steps, "acr": got.ACR, "amr": got.AMR})
	}
	for _, template := range c.told {
		if err := w.mail.await(ctx, p.email, template); err != nil {
			return &story.Error{Scene: c.name, Line: "its owner is told", Err: err}
		}
		w.opts.Print("      told      "+template+"\n", map[string]any{"chapter": c.name, "told": template})
	}
	return nil
}

// run plays one run, and holds what it proved against what it had to prove.
func (w *world) run(ctx context.Context, p *person, o outing) (app.Result, error) {
	a, err := w.phoneOf(p, o)
	if err != nil {
		return app.Result{}, err
	}
	start := app.StartOptions{Flow: o.flow, Target: o.target}
	if o.hinted {
		start.LoginHint = p.login
	}
	start.Transaction = o.approve
	got, err := a.Run(ctx, start)
	if o.refused != "" {
		return app.Result{}, refusal(err, o.refused)
	}
	if err != nil {
		return app.Result{}, err
	}
	slices.Sort(got.AMR)
	want := slices.Sorted(slices.Values(o.amr))
	if got.ACR != o.acr || !slices.Equal(got.AMR, want) {
		return app.Result{}, fmt.Errorf("it proved acr %q and amr %v, and not acr %q and amr %v", got.ACR, got.AMR, o.acr, want)
	}
	if (got.Token != "") != (o.target != "") {
		return app.Result{}, errors.New("a token came without a target, or none with one")
	}
	return got, nil
}

// refusal returns nil if a run has ended as it had to.
func refusal(err error, code string) error {
	var problem *app.ProblemError
	switch {
	case err == nil:
		return fmt.Errorf("it completed, and had to be refused with %s", code)
	case errors.As(err, &problem) && problem.Code == code:
		return nil
	}
	return fmt.Errorf("it had to be refused with %s: %w", code, err)
}
