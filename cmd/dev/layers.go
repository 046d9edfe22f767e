package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/dev/layers"
)

func runLayers(ctx context.Context, _ []string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	return printLayers(ctx, root, os.Stdout)
}

// printLayers holds the tree against the house rules and prints each breach.
func printLayers(ctx context.Context, root string, out io.Writer) error {
	problems, err := checkLayers(ctx, root)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	if n := len(problems); n > 0 {
		return fmt.Errorf("%d breaches of the house rules", n)
	}
	return nil
}

func checkLayers(ctx context.Context, root string) ([]layers.Problem, error) {
	module, err := modulePath(root)
	if err != nil {
		return nil, err
	}
	top, err := topLevel(ctx, root)
	if err != nil {
		return nil, err
	}
	return layers.Check(layers.Tree{FS: os.DirFS(root), Module: module, Top: top})
}

// topLevel lists the names at the top of the repository; where git cannot
// tell what belongs to it, everything does.
func topLevel(ctx context.Context, root string) ([]string, error) {
	files, err := repositoryFiles(ctx, root)
	if err != nil {
		entries, err := os.ReadDir(root)
		for _, e := range entries {
			files = append(files, e.Name())
		}
		if err != nil {
			return nil, err
		}
	}
	var names []string
	for _, f := range files {
		first, _, _ := strings.Cut(f, "/")
		names = append(names, first)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
