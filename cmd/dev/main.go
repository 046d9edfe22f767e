// Command dev is the task runner of this repository. It needs Go and nothing
// else, and it runs from anywhere inside the repository:
//
//	go run ./cmd/dev test            everything that CI runs; ends with "N passed, N failed"
//	go run ./cmd/dev test ./flows    the tests of some packages
//	go run ./cmd/dev check           format, vet, lint, layers, tidiness, generated files, known vulnerabilities, mutants
//	go run ./cmd/dev layers          the house rules alone, in milliseconds
//	go run ./cmd/dev mutate -run x   takes checks away, one at a time, and expects a test to fail
//	go run ./cmd/dev bench           what has a limit; complete sign-ins per second, beside a floor of the same run
//	go run ./cmd/dev bench -part sso CPU of a sign-on at a provider, beside its floor
//	go run ./cmd/dev gen             writes generated files anew
//
// "test" installs what the tests need and the machine lacks: see the package
// setup. "check" builds golangci-lint and govulncheck from the module
// cmd/dev/tools, where their versions are pinned; the first time takes a
// minute or two.
//
// The environment variable CI, set to "true", makes a skipped test a failure.
// The tests are told by STILE_LONG=1 that the long tier was asked for (-long),
// and by STILE_TEST_OIDC_PROVIDER and STILE_TEST_RELYING_PARTIES where the programs from npm stand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/stile-auth/stile/cmd/dev/bench"
)

// A command is one row of the table of subcommands.
type command struct {
	name, args, doc string
	run             func(ctx context.Context, args []string) error
}

// commands is the table; a new subcommand is a new row.
func commands() []command {
	return []command{
		{"test", "[-long] [-mutate] [packages]", "set up the machine, vet, run the tests; -long: the mutants too", runTest},
		{"check", "", "format, vet, lint, layers, tidy, gen, vulnerabilities, mutants", runCheck},
		{"layers", "", "hold the sources against the house rules", runLayers},
		{"mutate", "[-run regexp] [-jobs n] [-list]", "remove each check and expect its test to fail", runMutate},
		{"bench", "[-part limits|server|sso|gateway] [-flows n] [-at-once n] [-json]", "measure what has a limit, and complete sign-ins beside the floor of the same run", runBench},
		{"gen", "", "run go generate", runGen},
		{bench.ServeCommand, "", "", runBenchServe}, // what bench starts
		{bench.FloorCommand, "", "", runBenchFloor},
		{bench.ProviderCommand, "", "", runBenchProvider},
	}
}

// errReported ends the process with exit code 1 and no further word, because
// the command has said what is wrong.
var errReported = errors.New("reported")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:], os.Stderr)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "dev:", err)
	}
	os.Exit(1)
}

func dispatch(ctx context.Context, args []string, help io.Writer) error {
	if len(args) == 0 {
		usage(help)
		return errReported
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	usage(help)
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return nil
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: go run ./cmd/dev <command>")
	for _, c := range commands() {
		if c.doc == "" {
			continue
		}
		fmt.Fprintf(w, "\n  %s %s\n        %s\n", c.name, c.args, c.doc)
	}
}
