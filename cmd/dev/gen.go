package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/stile-auth/stile/cmd/dev/conformance"
)

func runGen(ctx context.Context, _ []string) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	page, err := conformance.Render(os.DirFS(root))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(conformance.Page)), []byte(page), 0o644); err != nil { //nolint:gosec // a page of the docs
		return err
	}
	return generate(ctx, root, os.Stdout)
}

func generate(ctx context.Context, root string, out io.Writer) error {
	return run(ctx, out, root, nil, "go", "generate", "-tags=nomsgpack", "./...")
}

// checkGenerated runs the generators and fails if that changes any file, in a
// clean tree or a dirty one.
func checkGenerated(ctx context.Context, root string, out io.Writer) error {
	before, err := snapshot(ctx, root)
	if err != nil {
		return err
	}
	if err := generate(ctx, root, out); err != nil {
		return err
	}
	after, err := snapshot(ctx, root)
	if err != nil {
		return err
	}
	names := changed(before, after)
	for _, name := range names {
		fmt.Fprintf(out, "%s was not up to date; it is now\n", name)
	}
	if n := len(names); n > 0 {
		return fmt.Errorf("%d generated files were not up to date", n)
	}
	return nil
}

// snapshot maps the files of the repository to the hashes of their contents.
func snapshot(ctx context.Context, root string) (map[string][32]byte, error) {
	files, err := repositoryFiles(ctx, root)
	if err != nil {
		return nil, err
	}
	sums := map[string][32]byte{}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		sums[name] = sha256.Sum256(text)
	}
	return sums, nil
}

// changed lists what was added, removed or altered.
func changed(before, after map[string][32]byte) []string {
	all := maps.Clone(before)
	maps.Copy(all, after)
	maps.DeleteFunc(all, func(name string, _ [32]byte) bool {
		was, had := before[name]
		is, has := after[name]
		return had && has && was == is
	})
	return slices.Sorted(maps.Keys(all))
}
