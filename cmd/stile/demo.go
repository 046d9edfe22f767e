package main

import (
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo"
	"github.com/stile-auth/stile/cmd/stile/demo/external"
	"github.com/stile-auth/stile/cmd/stile/demo/service"
	"github.com/stile-auth/stile/cmd/stile/demo/tour"
)

type demoCmd struct {
	Keep   bool          `help:"Leave everything running afterwards, and print how to drive a flow by hand."`
	JSON   bool          `name:"json" help:"Print a transcript for machines, one JSON object a line."`
	Pace   time.Duration `placeholder:"DURATION" help:"Wait this long before each step, for an audience (at most 5s)."`
	Story  string        `enum:"bank,step-up,authenticators,external-identity,service-account" default:"bank" help:"What is played: ${enum}."`
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
	switch c.Story {
	case "authenticators":
		return c.tour(w, logger)
	case "external-identity":
		return c.external(w, logger)
	case "service-account":
		return c.service(w, logger)
	}
	story := c.Story
	if story == "bank" {
		story = ""
	}
	err = demo.Play(w.ctx, demo.Options{
		Out: w.out, JSON: c.JSON, Keep: c.Keep, Pace: c.Pace, Story: story, Factor: c.Factor, Logger: logger, Now: w.now,
	})
	var failed *demo.StepError
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}

// tour shows each authenticator once. It has told what went wrong.
func (c demoCmd) tour(w *world, logger *zap.Logger) error {
	if c.Keep {
		return &usageError{"--keep goes with the other stories: this one leaves nothing to go on with"}
	}
	err := tour.Play(w.ctx, tour.Options{Out: w.out, JSON: c.JSON, Pace: c.Pace, Logger: logger, Now: w.now})
	var failed *tour.Error
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}

// external shows an identity of elsewhere with permissions of here. It has told what
// went wrong.
func (c demoCmd) external(w *world, logger *zap.Logger) error {
	if c.Keep {
		return &usageError{"--keep goes with the other stories: this one leaves nothing to go on with"}
	}
	err := external.Play(w.ctx, external.Options{Out: w.out, JSON: c.JSON, Pace: c.Pace, Logger: logger, Now: w.now})
	var failed *external.Error
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}

// service shows services that call services, and a gateway between them. It has told
// what went wrong.
func (c demoCmd) service(w *world, logger *zap.Logger) error {
	if c.Keep {
		return &usageError{"--keep goes with the other stories: this one leaves nothing to go on with"}
	}
	err := service.Play(w.ctx, service.Options{Out: w.out, JSON: c.JSON, Pace: c.Pace, Logger: logger, Now: w.now})
	var failed *service.Error
	if errors.As(err, &failed) {
		return errReported
	}
	return err
}
