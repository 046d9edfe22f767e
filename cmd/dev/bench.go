package main

import (
	"context"
	"os"

	"github.com/stile-auth/stile/cmd/dev/bench"
)

func runBench(ctx context.Context, args []string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	return bench.Run(ctx, root, args, os.Stdout)
}

func runBenchServe(ctx context.Context, _ []string) error {
	return bench.Serve(ctx, os.Stdin, os.Stdout)
}

func runBenchProvider(ctx context.Context, _ []string) error {
	return bench.Provider(ctx, os.Stdin, os.Stdout)
}

func runBenchFloor(ctx context.Context, _ []string) error {
	return bench.Floor(ctx, os.Stdin, os.Stdout)
}
