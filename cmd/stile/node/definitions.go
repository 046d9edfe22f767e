package node

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps"
)

// Catalogue returns the step types as definitions are checked against them. It
// has throw-away keys and neither store nor providers behind it: nothing can be run with it.
func Catalogue() (*flows.Registry, error) {
	secret := make([]byte, seal.KeySize)
	_, _ = rand.Read(secret) // never fails
	keys, err := derive(secret)
	if err != nil {
		return nil, err
	}
	hasher, err := account.NewHasher(account.HasherConfig{Pepper: keys.pepper})
	if err != nil {
		return nil, err
	}
	accounts := memory.New().Accounts()
	return flows.NewRegistry(steps.Builtin(steps.Deps{
		Authenticators: accounts, Hasher: hasher, Seeds: keys.sealer, Codes: keys.codes, Issuer: "https://stile.invalid", Links: accounts, Agreements: accounts,
	})...)
}

// ErrNoDefinitions reports a folder that defines nothing at all, which is seldom
// the folder that was meant.
var ErrNoDefinitions = errors.New("nothing is defined there: no *.yaml file has a section")

// definitionsFS is the folder, or the built-in examples if it is empty.
func definitionsFS(folder string) fs.FS {
	if folder == "" {
		return examples.FS
	}
	return os.DirFS(folder)
}

// LoadDefinitions loads the definitions of a folder, or the built-in examples
// if folder is empty; [ErrNoDefinitions] if there are none. Mistakes in them come back together as
// [flowdefs.Problems], whose files begin with the folder.
func LoadDefinitions(folder string, cat flowdefs.Catalogue) (*flowdefs.Set, error) {
	set, err := flowdefs.Load(definitionsFS(folder), ".", cat)
	var problems flowdefs.Problems
	if errors.As(err, &problems) && folder != "" {
		for i := range problems {
			problems[i].Pos.File = filepath.Join(folder, problems[i].Pos.File)
		}
		return nil, problems
	}
	if err == nil && len(set.Flows)+len(set.Targets)+len(set.Providers)+len(set.Clients) == 0 {
		err = ErrNoDefinitions
	}
	if err != nil {
		return nil, fmt.Errorf("definitions in %s: %w", cmp.Or(folder, "the program"), err)
	}
	return set, nil
}
