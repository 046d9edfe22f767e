package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
)

type serveCmd struct {
	format
	Listen string `placeholder:"ADDRESS" help:"Address to serve on instead of the configuration's; port 0 takes a free one."`
}

// served is what serve says when it serves.
type served struct {
	URL         string   `json:"url"`
	Address     string   `json:"address"`
	Config      string   `json:"config,omitempty"`
	Definitions string   `json:"definitions,omitempty"`
	Store       string   `json:"store"`
	Gateway     string   `json:"gateway,omitempty"`
	Made        []string `json:"made,omitempty"`
	NoSecret    []string `json:"providersWithoutSecret,omitempty"`
	counts
}

// Run serves until a signal or a failure. SIGHUP reloads the definitions.
func (c serveCmd) Run(w *world) error {
	cfg, used, err := w.configuration()
	if err != nil {
		return err
	}
	cfg.Listen = cmp.Or(c.Listen, cfg.Listen)
	logger, err := newLogger(cfg.Log, w.err)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	usual := debug.SetGCPercent(25) // a start leaves much behind; what lasts lies closer together then
	n, err := node.Start(w.ctx, cfg, node.Options{Logger: logger, Now: w.now, Stdout: w.out})
	if err != nil {
		return err
	}
	if err := c.announce(w, cfg, used, n); err != nil {
		return err
	}
	debug.SetGCPercent(usual)
	debug.FreeOSMemory() // what the start took (definitions, schemas, verdicts) is not needed again
	trim()
	err = attend(w.ctx, n, hup, func() {
		next, _, err := w.configuration()
		if err != nil {
			logger.Error("configuration not read again; the gateway stays as it was", zap.Error(err))
			return
		}
		_ = n.UseGateway(next.Gateway) // has logged what is wrong
	})
	logger.Info("stopping")
	if stopped := n.Shutdown(context.Background()); err == nil { // the signal must not cut the drain
		err = stopped
	}
	logger.Info("stopped")
	return err
}

// attend reloads the definitions, and what else can be, on every SIGHUP until ctx is done or
// the node fails.
func attend(ctx context.Context, n *node.Node, hup <-chan os.Signal, more func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.Failed():
			return err
		case <-hup:
			_ = n.Reload() // has logged what is wrong
			more()
		}
	}
}

func (c serveCmd) announce(w *world, cfg config.Config, used string, n *node.Node) error {
	s := served{
		URL: n.URL(), Address: n.Addr().String(), Config: used, Definitions: cfg.Definitions, Store: cfg.Store.Type,
		Made: n.Base.Made, NoSecret: n.MissingSecrets(), counts: countsOf(n.Definitions()),
	}
	if cfg.Store.Type == "sqlite" {
		s.Store += " " + cfg.Store.Path
	}
	if cfg.Store.Runs.Type != "same" {
		s.Store += " and " + cfg.Store.Runs.Type
	}
	if at := n.GatewayAddr(); at != nil {
		s.Gateway = at.String()
	}
	if c.json() {
		return w.printJSON(s)
	}
	line := func(name, text string) { fmt.Fprintf(w.out, "  %-12s %s\n", name, text) }
	fmt.Fprintf(w.out, "stile serves %s (on %s)\n", s.URL, s.Address)
	line("configured", cmp.Or(s.Config, "by defaults (no stile.yaml here, no --config)"))
	line("definitions", cmp.Or(s.Definitions, "the built-in examples")+": "+s.counts.String()) //nolint:staticcheck // says whose String it is
	line("store", s.Store)
	if s.Gateway != "" {
		line("gateway", "answers proxies on "+s.Gateway)
	}
	if len(s.Made) > 0 {
		line("made", strings.Join(s.Made, ", "))
	}
	for _, name := range s.NoSecret {
		line("provider", fmt.Sprintf("%s has no client secret: steps that use it answer 503", name))
	}
	return nil
}

// newLogger logs to out, never to a file of its own.
func newLogger(cfg config.Log, out io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, err
	}
	format := zap.NewProductionEncoderConfig()
	format.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc := zapcore.NewJSONEncoder(format)
	if cfg.Format == "console" {
		format.EncodeLevel = zapcore.CapitalLevelEncoder
		enc = zapcore.NewConsoleEncoder(format)
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(out)), level)), nil
}
