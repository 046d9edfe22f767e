package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
)

// Options say how the story is told. Out and Now are required.
type Options struct {
	Out    io.Writer
	JSON   bool          // one JSON object a line
	Pace   time.Duration // before each line, for an audience
	Logger *zap.Logger   // of the server; default: nothing is logged
	Now    func() time.Time
}

// Error says where the story left its path.
type Error struct {
	Line string
	Err  error
}

// Error names the line first.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Line, e.Err) }

// Unwrap returns what was wrong.
func (e *Error) Unwrap() error { return e.Err }

// line is something that happens, and how it is answered.
type line struct {
	what string
	do   func(ctx context.Context, w *world) (answer, error)
	want answer
}

// answer is what came back: a status, and the stable code of a refusal.
type answer struct {
	status int
	code   string
	more   string // that is told, and not compared
}

// Play starts everything, plays the lines and ends everything. What goes wrong in one
// is an [*Error], and has been printed.
func Play(ctx context.Context, opts Options) error { return play(ctx, opts, story()) }

func play(ctx context.Context, opts Options, all []line) (err error) {
	if opts.Out == nil || opts.Now == nil {
		return errors.New("service: Out and Now are required")
	}
	w, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	w.print(fmt.Sprintf("Stile      %s\ndirectory  %s\ngateway    %s\nproxy      %s\n\n", w.node.URL(), w.staff.URL, w.node.GatewayAddr(), w.proxy.url),
		map[string]any{"stile": w.node.URL(), "directory": w.staff.URL, "gateway": w.node.GatewayAddr().String(), "proxy": w.proxy.url})
	for _, l := range all {
		if err := w.play(ctx, l); err != nil {
			w.print("\nfailed: "+err.Error()+"\n", map[string]any{"ok": false, "error": err.Error()})
			return err
		}
	}
	w.print("\nAll went as it should.\n", map[string]any{"ok": true, "lines": len(all)})
	return nil
}

func (w *world) play(ctx context.Context, l line) error {
	pause(ctx, w.opts.Pace)
	got, err := l.do(ctx, w)
	if err == nil && (got.status != l.want.status || got.code != l.want.code) {
		err = fmt.Errorf("it was answered %d %s, and had to be %d %s", got.status, got.code, l.want.status, l.want.code)
	}
	if err != nil {
		return &Error{Line: l.what, Err: err}
	}
	text := fmt.Sprintf("  %-62s %d %s\n", l.what, got.status, got.code)
	if got.more != "" {
		text += "       " + got.more + "\n"
	}
	w.print(text, map[string]any{"line": l.what, "status": got.status, "code": got.code, "more": got.more})
	return nil
}

// print prints the text, or the object if it is for machines. What is lost on the
// way to a reader who has gone is no part of the story.
func (w *world) print(text string, object map[string]any) {
	if !w.opts.JSON {
		_, _ = fmt.Fprint(w.opts.Out, text)
		return
	}
	enc := json.NewEncoder(w.opts.Out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(object)
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
