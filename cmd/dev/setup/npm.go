package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// ProviderFolder holds package.json, package-lock.json and the program of
	// an OpenID provider that others wrote, for the tests that talk to it.
	ProviderFolder = "oidcclient/testdata/oidc-provider"
	// ProviderVariable tells the tests where that folder stands ready to run:
	// a copy of it with node_modules inside.
	ProviderVariable = "STILE_TEST_OIDC_PROVIDER"
	// PartiesFolder and PartiesVariable are the same for relying parties that others wrote.
	PartiesFolder   = "cmd/stile/contract/testdata/relying-parties"
	PartiesVariable = "STILE_TEST_RELYING_PARTIES"
)

// Packages prepares a folder with a package-lock.json and returns the prepared copy, or "" if
// the repository has no such folder.
func Packages(ctx context.Context, root, folder string, log io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, filepath.FromSlash(folder))
	return npm(ctx, source, filepath.Join(cache, "stile-dev"), installNpm, log)
}

func installNpm(ctx context.Context, dir string) error {
	return quietly(ctx, dir, []string{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"})
}

// npm copies source below cache and installs what its lock file pins there;
// the tree of the repository stays as it is. The copy is named after the
// content of the folder, made beside its place and moved there when it is
// complete, so that neither an interrupted nor a simultaneous run leaves half
// of one.
func npm(ctx context.Context, source, cache string, install func(context.Context, string) error, log io.Writer) (string, error) {
	if _, err := os.Stat(filepath.Join(source, "package-lock.json")); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(log, "setup: no %s here, so nothing to install from npm\n", source)
		return "", nil
	}
	sum, err := hash(os.DirFS(source))
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "npm-"+sum)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	fmt.Fprintf(log, "setup: installing the npm packages of %s\n", source)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	parent, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(parent)
	fresh := filepath.Join(parent, "npm")
	if err := copyTo(fresh, os.DirFS(source)); err != nil {
		return "", err
	}
	if err := install(ctx, fresh); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, target); err != nil {
		if _, other := os.Stat(target); other != nil { // else another run was faster
			return "", err
		}
	}
	return target, nil
}

// hash names the content of a folder: 16 hexadecimal digits over the names
// and contents of its files.
func hash(fsys fs.FS) (string, error) {
	h := sha256.New()
	err := walk(fsys, func(name string) error {
		text, err := fs.ReadFile(fsys, name)
		fmt.Fprintf(h, "%q %d\n", name, len(text))
		h.Write(text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

func copyTo(dir string, fsys fs.FS) error {
	return walk(fsys, func(name string) error {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		return os.WriteFile(file, text, 0o600)
	})
}

// walk visits the files of a folder in order, but not what someone's own
// "npm install" put there.
func walk(fsys fs.FS, visit func(name string) error) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return fs.SkipDir
		case d.Type().IsRegular():
			return visit(name)
		}
		return nil
	})
}
