package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
)

// The exit codes.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

// cli is the command line.
type cli struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file. Default: stile.yaml in the current folder if there is one."`

	Demo    demoCmd    `cmd:"" help:"Play a story on real parts, all in one process: provider, API, app and server."`
	Serve   serveCmd   `cmd:"" help:"Serve flows. Without configuration: the built-in examples, with SQLite in ./stile-data."`
	Check   checkCmd   `cmd:"" help:"Load definitions and report every mistake with its place."`
	Test    testCmd    `cmd:"" help:"Play the scenarios beside definitions, on the engine and over HTTP."`
	Schema  schemaCmd  `cmd:"" help:"Print the JSON Schema of definition files, for editors."`
	Steps   stepsCmd   `cmd:"" help:"The step types: what they ask, take and prove."`
	Diff    diffCmd    `cmd:"" help:"Say what a change of definitions allows more and less."`
	Graph   graphCmd   `cmd:"" help:"Draw a flow from the program that the machine runs."`
	OpenAPI openAPICmd `cmd:"" name:"openapi" help:"Print the OpenAPI description of the API, or of what one flow asks."`
	Keys    keysCmd    `cmd:"" help:"Keys that sign tokens. Running servers follow within fifteen seconds."`
	Users   usersCmd   `cmd:"" help:"Accounts."`
	Clients clientsCmd `cmd:"" help:"Clients that stand in the store, besides those of the definitions; secrets for either."`
	Migrate migrateCmd `cmd:"" help:"Bring the schema of the store up to date. Servers of the version before may go on meanwhile."`
	Version versionCmd `cmd:"" help:"Say which version this is."`
}

// world is what a command may touch.
type world struct {
	ctx    context.Context //nolint:containedctx // kong hands commands values, and this is the command's own context
	in     io.Reader
	out    io.Writer
	err    io.Writer
	now    func() time.Time
	config string
}

// problemError is a failure that has been reported already.
type problemError struct{}

func (problemError) Error() string { return "reported above" }

var errReported = problemError{}

// exited carries the code out of a parser that wants to end the process.
type exited int

// run runs one command line and returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer func() {
		if e := recover(); e != nil {
			c, ok := e.(exited)
			if !ok {
				panic(e)
			}
			code = int(c)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("stile"), kong.Description("Multi-step authentication flows."),
		kong.Writers(out, errs), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(errs, "stile:", err)
		return exitProblem
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errs, "stile: %v\nTry \"stile --help\".\n", err)
		return exitUsage
	}
	w := &world{ctx: ctx, in: in, out: out, err: errs, now: time.Now, config: c.Config}
	return report(errs, parsed.Run(w))
}

// report tells what went wrong and returns the exit code.
func report(errs io.Writer, err error) int {
	var problems flowdefs.Problems
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitProblem
	case errors.As(err, &usage):
		fmt.Fprintf(errs, "stile: %v\n", err)
		return exitUsage
	case errors.As(err, &problems):
		listProblems(errs, problems, coloured(errs))
		return exitProblem
	}
	fmt.Fprintf(errs, "stile: %v\n", err)
	return exitProblem
}

// usageError is a mistake on the command line that the parser cannot see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// configuration loads the configuration file.
func (w *world) configuration() (config.Config, string, error) { return config.Find(w.config) }

// deviations are the departures from the rules of assurance that the
// configuration names, whichever folder is looked at.
func (w *world) deviations() ([]string, error) {
	cfg, _, err := w.configuration()
	return cfg.Assurance.Deviations, err
}

// printJSON prints one indented JSON document.
func (w *world) printJSON(v any) error {
	enc := json.NewEncoder(w.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// format is the flag of commands whose output a machine may read.
type format struct {
	Format string `enum:"text,json" default:"text" help:"Form of the output: ${enum}."`
}

func (f format) json() bool { return f.Format == "json" }
