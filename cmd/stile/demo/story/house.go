package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/node"
)

// House is a server as "stile serve" runs it, with a folder of its own, and the servers
// around it. Worlds of stories embed it.
type House struct {
	Options
	Folder string
	Node   *node.Node // once it is [House.Start]ed
	Wire   *http.Transport

	closes []func() error // the last one first
}

// NewHouse makes the folder.
func NewHouse(opts Options, name string) (*House, error) {
	h := &House{Options: opts, Wire: &http.Transport{ResponseHeaderTimeout: 30 * time.Second}}
	folder, err := os.MkdirTemp("", "stile-"+name+"-")
	if err != nil {
		return h, fmt.Errorf("story: %w", err)
	}
	h.Folder = folder
	h.Later(func() error { return os.RemoveAll(folder) })
	h.Later(func() error { h.Wire.CloseIdleConnections(); return nil })
	return h, nil
}

// Later has f called when the house is closed, before what was there earlier.
func (h *House) Later(f func() error) { h.closes = append(h.closes, f) }

// Close ends everything, also if it was never complete.
func (h *House) Close() error {
	var errs []error
	for i := len(h.closes) - 1; i >= 0; i-- {
		errs = append(errs, h.closes[i]())
	}
	h.closes = nil
	return errors.Join(errs...)
}

// Start starts Stile on files of the folder, of which one is stile.yaml.
func (h *House) Start(ctx context.Context, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(h.Folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	cfg, err := config.Load(filepath.Join(h.Folder, "stile.yaml"))
	if err != nil {
		return err
	}
	logger := h.Logger
	if logger == nil {
		logger = zap.NewNop()
	}
	if h.Node, err = node.Start(ctx, cfg, node.Options{Logger: logger, Now: h.Now}); err != nil {
		return err
	}
	h.Later(func() error { return h.Node.Shutdown(context.Background()) }) // also when the story was cut short
	return nil
}

// Listen takes a port: some have to know by what name they are reached before they answer.
func (h *House) Listen(ctx context.Context) (l net.Listener, url string, err error) {
	var lc net.ListenConfig
	if l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, "", err
	}
	h.Later(func() error { // unless a server has closed it by then
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, "http://" + l.Addr().String(), nil
}

// Serve answers on a listener.
func (h *House) Serve(l net.Listener, handler http.Handler) {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }()
	h.Later(s.Close)
}

// Client sends requests, and follows no redirect.
func (h *House) Client() *http.Client {
	return &http.Client{
		Transport:     &app.Wire{Who: "app", Next: h.Wire, Cut: h.Cut},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const maxBody = 64 << 10

// Said is an answer: its object is nil if it has none.
type Said struct {
	Status int
	Header http.Header
	Object map[string]any
}

// Send sends a request.
func (h *House) Send(r *http.Request) (Said, error) {
	resp, err := h.Client().Do(r) //nolint:gosec // the servers are the story's own
	if err != nil {
		return Said{}, err
	}
	defer resp.Body.Close()
	said := Said{Status: resp.StatusCode, Header: resp.Header}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return said, err
	}
	if json.Unmarshal(text, &said.Object) != nil {
		said.Object = nil
	}
	return said, nil
}

// Text is a member of the object, "" if it is no text.
func (s Said) Text(name string) string {
	text, _ := s.Object[name].(string)
	return text
}
