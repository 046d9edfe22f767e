// Package external plays how somebody comes with an identity of elsewhere and gets
// permissions of here, over HTTP, against a server as "stile serve" runs it.
//
// A phone has the token of an identity server that is none of ours. Stile asks that
// server whether it is good and for our app, asks the shop's own service what its owner
// may do, and makes a token of its own of both. The shop guards four kinds of resources
// with package rp: for everyone, for any app with its key, for who has signed in, and
// for administrators. Each scene says how it has to be answered; anything else ends the
// story with an [Error].
package external

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// Options say how the story is told. Out and Now are required.
type Options struct {
	Out    io.Writer
	JSON   bool          // one JSON object a line
	Pace   time.Duration // before each line, for an audience
	Logger *zap.Logger   // of the server; default: nothing is logged
	Now    func() time.Time
	// Cut is asked before each exchange of the app with Stile and the shop (Status is 0)
	// and when its answer has arrived; an error breaks it there. For tests. Optional.
	Cut func(app.Exchange) error
}

// Error says where the story left its path.
type Error struct {
	Scene, Line string
	Err         error
}

// Error names the scene first.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Scene, e.Line, e.Err) }

// Unwrap returns what was wrong.
func (e *Error) Unwrap() error { return e.Err }

// scene is one part of the story.
type scene struct {
	title string
	lines []line
}

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

// Play starts everything, plays the scenes and ends everything. What goes wrong in a
// scene is an [*Error], and has been printed.
func Play(ctx context.Context, opts Options) error { return play(ctx, opts, scenes()) }

func play(ctx context.Context, opts Options, all []scene) (err error) {
	if opts.Out == nil || opts.Now == nil {
		return errors.New("external: Out and Now are required")
	}
	w, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	w.print(fmt.Sprintf("identity server  %s\nentitlements     %s\nStile            %s\nshop             %s\n", w.identity.Issuer(), w.rights.url, w.node.URL(), w.shop.url),
		map[string]any{"identity": w.identity.Issuer(), "entitlements": w.rights.url, "stile": w.node.URL(), "shop": w.shop.url})
	for i, s := range all {
		w.print(fmt.Sprintf("\n%d. %s\n\n", i+1, s.title), map[string]any{"scene": i + 1, "title": s.title})
		for _, l := range s.lines {
			if err := w.line(ctx, i+1, s, l); err != nil {
				w.print("\nfailed: "+err.Error()+"\n", map[string]any{"ok": false, "error": err.Error()})
				return err
			}
		}
	}
	w.print(fmt.Sprintf("\nAll %d scenes went as they should.\n", len(all)), map[string]any{"ok": true, "scenes": len(all)})
	return nil
}

func (w *world) line(ctx context.Context, number int, s scene, l line) error {
	pause(ctx, w.opts.Pace)
	got, err := l.do(ctx, w)
	if err == nil && (got.status != l.want.status || got.code != l.want.code) {
		err = fmt.Errorf("it was answered %d %s, and had to be %d %s", got.status, got.code, l.want.status, l.want.code)
	}
	if err != nil {
		return &Error{Scene: s.title, Line: l.what, Err: err}
	}
	text := fmt.Sprintf("  %-58s %d %s\n", l.what, got.status, got.code)
	if got.more != "" {
		text += "       " + got.more + "\n"
	}
	w.print(text, map[string]any{"scene": number, "line": l.what, "status": got.status, "code": got.code, "more": got.more})
	return nil
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
