package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/assurance"
)

// setting is what a server process is told on its standard input.
type setting struct {
	Store      string `json:"store"` // "memory" or "sqlite"
	Durability string `json:"durability"`
	Folder     string `json:"folder"`
	People     int    `json:"people"`
	Hash       bool   `json:"hash"` // hash passwords at the default cost; else at the least possible
	RunBytes   int    `json:"runBytes"`
	Provider   string `json:"provider"` // people sign on there; "": with a password and a code
}

// ready is the one line that a server process prints.
type ready struct {
	URL    string   `json:"url"`
	People []person `json:"people"`
}

// Serve is the body of a server process: the real thing, wired as `stile serve`
// wires it, with seeded accounts. It ends with its standard input.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var s setting
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return err
	}
	cfg, err := config.Default()
	if s.Provider != "" {
		cfg, err = ssoConfig(s)
	}
	if err != nil {
		return err
	}
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", s.Folder
	cfg.Store = config.Store{Type: s.Store, Path: filepath.Join(s.Folder, "stile.db"), Durability: s.Durability}
	cfg.Limits.Burst = 0 // the driver has one address
	if !s.Hash {
		cfg.Hashing.Memory, cfg.Hashing.Time = 8, 1
	}
	n, err := node.Start(ctx, cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err != nil {
		return err
	}
	defer func() { _ = n.Shutdown(context.WithoutCancel(ctx)) }()
	people, err := seed(ctx, n, s.People)
	if err == nil && s.Provider != "" {
		err = link(ctx, n, s.Provider)
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ready{URL: n.URL(), People: people}); err != nil {
		return err
	}
	return wait(ctx)
}

// wait returns when the parent ends this process with SIGTERM.
func wait(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	<-ctx.Done()
	return nil
}

func seed(ctx context.Context, n *node.Node, count int) ([]person, error) {
	reg, err := n.Base.Registrar("bench", time.Now)
	if err != nil {
		return nil, err
	}
	people := make([]person, count)
	for i := range people {
		p := person{Login: fmt.Sprintf("user%06d", i), Password: fmt.Sprintf("a long pass phrase %d", i)}
		added, err := reg.Add(ctx, users.Person{Login: p.Login, Password: p.Password, TOTP: true, Binding: assurance.AAL2})
		if err != nil {
			return nil, err
		}
		p.Seed = added.Seed
		people[i] = p
	}
	return people, nil
}
