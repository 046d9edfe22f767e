package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo"
	"github.com/stile-auth/stile/cmd/stile/demo/catalog"
	"github.com/stile-auth/stile/cmd/stile/demo/external"
	"github.com/stile-auth/stile/cmd/stile/demo/page"
	"github.com/stile-auth/stile/cmd/stile/demo/party"
	"github.com/stile-auth/stile/cmd/stile/demo/service"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/cmd/stile/demo/tour"
)

type demoCmd struct {
	Keep   bool          `help:"Leave everything running afterwards, and print how to drive a flow by hand (bank, step-up)."`
	JSON   bool          `name:"json" help:"Print a transcript for machines, one JSON object a line."`
	Pace   time.Duration `placeholder:"DURATION" help:"Wait this long before each step, for an audience (at most 5s)."`
	Story  string        `enum:"bank,step-up,authenticators,external-identity,service-account,relying-party,single-page-app,catalog" default:"bank" help:"What is played: bank (the whole story), step-up (an API asks for more), authenticators (each is bound and used), external-identity (another server's token becomes one with permissions), service-account (services without users), relying-party (an application that knows OpenID Connect alone), single-page-app (a page with tokens, then without), catalog (what takes the place of the password grant)."`
	Factor string        `enum:"pin,code,biometric" default:"pin" help:"What the user chooses in the third run: ${enum}."`
}

// Run plays the story. The teller has told what went wrong in it.
func (c demoCmd) Run(w *world) error {
	if c.Pace < 0 || c.Pace > demo.MaxPace {
		return &usageError{fmt.Sprintf("--pace must be between 0 and %s", demo.MaxPace)}
	}
	logger, err := newLogger(config.Log{Level: "warn", Format: "console"}, w.err)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a reader who leaves ends the story, which then cleans up
	if play := stories[c.Story]; play != nil {
		return c.tell(w, play, logger)
	}
	own := c.Story
	if own == "bank" {
		own = ""
	}
	err = demo.Play(w.ctx, demo.Options{
		Out: w.out, JSON: c.JSON, Keep: c.Keep, Pace: c.Pace, Story: own, Factor: c.Factor, Logger: logger, Now: w.now,
	})
	var failed *demo.StepError
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}

// stories are those that leave nothing to go on with.
var stories = map[string]func(context.Context, story.Options) error{ //nolint:gochecknoglobals // a constant
	"authenticators":    tour.Play,
	"catalog":           catalog.Play,
	"external-identity": external.Play,
	"relying-party":     party.Play,
	"service-account":   service.Play,
	"single-page-app":   page.Play,
}

// tell tells one of stories. The teller has told what went wrong in it.
func (c demoCmd) tell(w *world, play func(context.Context, story.Options) error, logger *zap.Logger) error {
	if c.Keep {
		return &usageError{"--keep goes with the stories bank and step-up: this one leaves nothing to go on with"}
	}
	err := play(w.ctx, story.Options{Out: w.out, JSON: c.JSON, Pace: c.Pace, Logger: logger, Now: w.now})
	var failed *story.Error
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}
