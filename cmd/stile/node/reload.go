package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/steps/sso"
)

// watchEvery is how often the folder of definitions is looked at. A watch by the
// operating system would be sooner, and blind on network file systems and where
// a folder is replaced as a whole.
const watchEvery = 2 * time.Second

// loaded is one set of definitions that has been read.
type loaded struct {
	set     *flowdefs.Set
	missing []string // providers without a secret
	remote  sso.Providers
	hash    string // of all files, by name and content
	since   time.Time
}

// read reads the definitions as they are at one moment, and checks them against
// this node's configuration. The hash is there also if they are wrong.
func (n *Node) read() (*loaded, error) {
	cat, err := Catalogue()
	if err != nil {
		return &loaded{}, err
	}
	folder := n.cfg.Definitions
	for range 5 { // somebody may be writing them
		before, err := hashOf(definitionsFS(folder))
		if err != nil {
			return &loaded{}, fmt.Errorf("definitions: %w", err)
		}
		l := &loaded{hash: before}
		l.set, err = LoadDefinitions(folder, cat)
		if after, herr := hashOf(definitionsFS(folder)); herr != nil || after != before {
			continue
		}
		if err != nil {
			return l, err
		}
		return l, CheckTargets(l.set, n.cfg)
	}
	return &loaded{}, errors.New("definitions: they change faster than they can be read")
}

// hashOf names the content of the definitions in a folder: what
// [flowdefs.Load] reads of it, and nothing else.
func hashOf(fsys fs.FS) (string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, e := range entries { // sorted by name
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".test.yaml") {
			continue
		}
		one, err := hashFile(fsys, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s\x00%x", name, one)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return sum.Sum(nil), err
}

// within says whether a browser takes a cookie for a domain from this origin (RFC 6265
// §5.3); without an origin, which is then this machine's, nobody can say.
func within(origin, domain string) bool {
	u, err := url.Parse(origin)
	return domain == "" || origin == "" || err == nil && (u.Hostname() == domain || strings.HasSuffix(u.Hostname(), "."+domain))
}

// CheckTargets refuses targets whose tokens would live longer than the configuration
// lets any token live, or whose cookies no browser would take from its base_url: they
// could never be given. All of them come back as [flowdefs.Problems].
func CheckTargets(set *flowdefs.Set, cfg config.Config) error {
	var problems flowdefs.Problems
	for _, t := range set.Targets {
		for _, p := range t.Propagate {
			refuse := func(format string, args ...any) {
				pos := p.Pos
				pos.File = filepath.Join(cfg.Definitions, pos.File)
				problems = append(problems, flowdefs.Problem{Pos: pos, Message: fmt.Sprintf("target %q: ", t.Name) + fmt.Sprintf(format, args...)})
			}
			if p.Cookie != nil && !within(cfg.BaseURL, p.Cookie.Domain) {
				refuse("no browser takes a cookie for %s from %s", p.Cookie.Domain, cfg.BaseURL)
			}
			if p.TTL > cfg.Tokens.MaxTTL {
				refuse("propagate.ttl is %s, longer than tokens.max_ttl of the configuration, %s", p.TTL, cfg.Tokens.MaxTTL)
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b flowdefs.Problem) int { return strings.Compare(a.Message, b.Message) })
	return problems
}

// Reload reads the definitions and the secrets of their providers again and
// makes them the active ones, all or, if anything is wrong, none: then what was
// active stays so, and every mistake is returned and logged. Runs finish on
// what they began with.
func (n *Node) Reload() error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	return n.reload()
}

func (n *Node) reload() error {
	l, err := n.read()
	n.tried = stateOf(l.hash, err)
	if err == nil {
		err = n.prove(context.Background(), l)
	}
	if err == nil {
		err = n.activate(l)
	}
	if err != nil {
		f := &httpapi.FailedReload{At: n.opts.Now().UTC(), Problems: len(listOf(err))}
		n.rejected.Store(f)
		n.opts.Logger.Error("definitions not reloaded; those from before stay active",
			zap.Int("problems", f.Problems), zap.Strings("problem", listOf(err)), zap.String("active", n.loaded.Load().hash))
	}
	return err
}

// activate lets new runs start on what was read.
func (n *Node) activate(l *loaded) error {
	registry, err := n.registry(l)
	if err != nil {
		return err
	}
	if err := n.engine.Use(l.set, registry); err != nil {
		return err
	}
	l.since = n.opts.Now().UTC()
	if old := n.loaded.Load(); old.hash == l.hash {
		l.since = old.since
	}
	n.loaded.Store(l)
	n.logActive(l)
	return nil
}

func (n *Node) logActive(l *loaded) {
	n.opts.Logger.Info("definitions active", zap.String("hash", l.hash), zap.Time("since", l.since), zap.Int("flows", len(l.set.Flows)))
}

// listOf takes joined errors and problems apart.
func listOf(err error) []string {
	var out []string
	if problems, ok := err.(flowdefs.Problems); ok { //nolint:errorlint // the joined ones are taken apart below
		for _, p := range problems {
			out = append(out, p.Error())
		}
		return out
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // this level is what is asked for
		for _, one := range joined.Unwrap() {
			out = append(out, listOf(one)...)
		}
		return out
	}
	return []string{err.Error()}
}

// watch reloads whenever the folder has changed, until ctx is done.
func (n *Node) watch(ctx context.Context) {
	tick := time.NewTicker(n.opts.Watch)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.reloadIfChanged()
		}
	}
}

// reloadIfChanged reloads what was not tried yet. What did not load is tried
// again once it has changed, or by [Node.Reload].
func (n *Node) reloadIfChanged() {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	hash, err := hashOf(definitionsFS(n.cfg.Definitions))
	if err != nil {
		err = fmt.Errorf("definitions: %w", err) // as read has it
	}
	if stateOf(hash, err) != n.tried {
		_ = n.reload() // has logged what is wrong
	}
}

// stateOf tells one state of the folder from another, also if it cannot be read.
func stateOf(hash string, err error) string {
	if hash == "" && err != nil {
		return err.Error()
	}
	return hash
}

// active is what /readyz says.
func (n *Node) active() httpapi.Definitions {
	l := n.loaded.Load()
	return httpapi.Definitions{Hash: l.hash, Since: l.since, LastFailed: n.rejected.Load()}
}
