package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/seal"
)

// Prove holds definitions against the machine; see docs/proofs.md. What is wrong
// comes back as [flowdefs.Problems], whose files begin with the folder, and the
// verdicts come back all the same. Of the options, Kept may be nil, and Build is
// this program.
func Prove(ctx context.Context, folder string, set *flowdefs.Set, r *flows.Registry, o prove.Options) ([]prove.Verdict, error) {
	build, err := program()
	if err != nil {
		return nil, err
	}
	o.Build = build
	if o.Kept == nil {
		o.Kept = inProcess
	}
	if folder == "" {
		if o.Shipped, err = shipped(); err != nil {
			return nil, err
		}
	}
	verdicts, err := prove.Prove(ctx, set, r, o)
	if err != nil {
		return nil, err
	}
	if folder != "" {
		for i := range verdicts {
			for k := range verdicts[i].Findings {
				f := &verdicts[i].Findings[k]
				f.Pos.File = filepath.Join(folder, f.Pos.File)
			}
		}
	}
	if problems := prove.Problems(verdicts); len(problems) > 0 {
		return verdicts, problems
	}
	return verdicts, nil
}

// shipped are the verdicts of the built-in examples.
var shipped = sync.OnceValues(func() (*memo, error) { //nolint:gochecknoglobals // read once
	m := &memo{kept: map[string][]prove.Verdict{}, used: map[string]bool{}}
	if err := json.Unmarshal(examples.Verdicts, &m.kept); err != nil {
		return nil, fmt.Errorf("node: verdicts of the examples: %w", err)
	}
	return m, nil
})

// program names this very program: other code may come to another verdict.
var program = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // read once
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("node: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("node: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("node: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
})

// memo keeps verdicts as long as the process lives.
type memo struct {
	mu   sync.Mutex
	kept map[string][]prove.Verdict
	used map[string]bool
	more bool // something was kept that was not there before
}

// inProcess keeps what this process has proved: a verdict is a function of its key.
var inProcess = &memo{kept: map[string][]prove.Verdict{}, used: map[string]bool{}} //nolint:gochecknoglobals // a memo of a pure function

// Verdicts implements [prove.Kept].
func (m *memo) Verdicts(key string) ([]prove.Verdict, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	vs, ok := m.kept[key]
	m.used[key] = m.used[key] || ok
	return vs, ok
}

// Keep implements [prove.Kept].
func (m *memo) Keep(key string, vs []prove.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[key], m.used[key], m.more = vs, true, true
}

// proofsFile holds what a node has proved, sealed: whoever could write a verdict
// into it could let a flow in that was never proved.
const proofsFile = "proofs"

const proofsPlace = "stile proofs 1"

// proofs keeps verdicts in a sealed file of the data folder.
type proofs struct {
	memo
	path   string
	sealer *seal.Sealer
	log    *zap.Logger
}

// openProofs reads the file. One that is not there, or does not open, costs the time to prove again.
func openProofs(dir string, sealer *seal.Sealer, log *zap.Logger) *proofs {
	p := &proofs{memo: memo{kept: map[string][]prove.Verdict{}, used: map[string]bool{}}, path: filepath.Join(dir, proofsFile), sealer: sealer, log: log}
	sealed, err := os.ReadFile(p.path)
	if errors.Is(err, os.ErrNotExist) {
		return p
	}
	var text []byte
	if err == nil {
		text, err = sealer.Open(sealed, []byte(proofsPlace))
	}
	if err == nil {
		err = json.Unmarshal(text, &p.kept)
	}
	if err != nil {
		p.kept = map[string][]prove.Verdict{}
		log.Warn("kept proofs are not usable; everything is proved again", zap.Error(err))
	}
	return p
}

// store writes what was used, if there is anything new in it. Failing to is no harm.
func (p *proofs) store() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.more {
		return
	}
	for key := range p.kept {
		if !p.used[key] {
			delete(p.kept, key)
		}
	}
	text, err := json.Marshal(p.kept)
	if err == nil {
		var sealed []byte
		if sealed, err = p.sealer.Seal(text, []byte(proofsPlace)); err == nil {
			err = replaceFile(p.path, sealed)
		}
	}
	if err != nil {
		p.log.Warn("proofs are not kept", zap.Error(err))
		return
	}
	p.more, p.used = false, map[string]bool{}
}

// replaceFile writes a file as a whole or leaves the one that is there.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// prove holds what was read against the machine before it can become active.
func (n *Node) prove(ctx context.Context, l *loaded) error {
	if n.opts.Unproved {
		return nil
	}
	cat, err := Catalogue()
	if err != nil {
		return err
	}
	if _, err := Prove(ctx, n.cfg.Definitions, l.set, cat, prove.Options{Kept: n.proofs, Deviations: Deviations(n.cfg.Assurance.Deviations)}); err != nil {
		return err
	}
	n.proofs.store()
	return nil
}
