// Package story is what the stories of the demo have in common: a story is scenes, a scene
// is lines, and a line is something that happens and how it has to be answered. Any other
// answer ends the story with an [Error].
//
// A story is played over HTTP against a server as "stile serve" runs it, which is a [House].
package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// Options say how a story is told. Out and Now are required.
type Options struct {
	Out    io.Writer
	JSON   bool          // one JSON object a line
	Pace   time.Duration // before each line, for an audience
	Logger *zap.Logger   // of the server; default: nothing is logged
	Now    func() time.Time
	// Patience is how long a message may take. Default 20 s.
	Patience time.Duration
	// Cut is asked before each exchange (Status is 0) and when its answer has
	// arrived; an error breaks it there. For tests. Optional.
	Cut func(app.Exchange) error
}

// Error says where a story left its path.
type Error struct {
	Scene, Line string
	Err         error
}

// Error names the scene first.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Scene, e.Line, e.Err) }

// Unwrap returns what was wrong.
func (e *Error) Unwrap() error { return e.Err }

// Scene is one part of a story, in a world of that kind.
type Scene[W any] struct {
	Title string
	Lines []Line[W]
}

// Line is something that happens, and how it is answered.
type Line[W any] struct {
	What string
	Do   func(ctx context.Context, w W) (Answer, error)
	Want Answer
}

// Answer is what came back: a status, and the stable code of a refusal.
type Answer struct {
	Status int
	Code   string
	More   string // that is told, and not compared
}

// World is everybody who takes part.
type World interface {
	// Places are who is where, for the audience.
	Places() []Place
	Close() error
}

// Place is somebody's address.
type Place struct{ Name, URL string }

// Play opens the world, plays the scenes and closes it. What goes wrong in a scene is an
// [*Error], and has been printed.
func Play[W World](ctx context.Context, opts Options, open func(context.Context, Options) (W, error), scenes []Scene[W]) (err error) {
	if opts.Out == nil || opts.Now == nil {
		return errors.New("story: Out and Now are required")
	}
	w, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	who := map[string]any{}
	text := ""
	for _, p := range w.Places() {
		who[p.Name] = p.URL
		text += fmt.Sprintf("%-16s %s\n", p.Name, p.URL)
	}
	opts.Print(text, who)
	for i, s := range scenes {
		opts.Print(fmt.Sprintf("\n%d. %s\n\n", i+1, s.Title), map[string]any{"scene": i + 1, "title": s.Title})
		for _, l := range s.Lines {
			if err := play(ctx, opts, w, i+1, s.Title, l); err != nil {
				opts.Print("\nfailed: "+err.Error()+"\n", map[string]any{"ok": false, "error": err.Error()})
				return err
			}
		}
	}
	opts.Print(fmt.Sprintf("\nAll %d scenes went as they should.\n", len(scenes)), map[string]any{"ok": true, "scenes": len(scenes)})
	return nil
}

func play[W any](ctx context.Context, opts Options, w W, number int, scene string, l Line[W]) error {
	opts.Pause(ctx)
	got, err := l.Do(ctx, w)
	if err == nil && (got.Status != l.Want.Status || got.Code != l.Want.Code) {
		err = fmt.Errorf("it was answered %d %s, and had to be %d %s", got.Status, got.Code, l.Want.Status, l.Want.Code)
	}
	if err != nil {
		return &Error{Scene: scene, Line: l.What, Err: err}
	}
	text := fmt.Sprintf("  %-62s %d %s\n", l.What, got.Status, got.Code)
	if got.More != "" {
		text += "       " + got.More + "\n"
	}
	opts.Print(text, map[string]any{"scene": number, "line": l.What, "status": got.Status, "code": got.Code, "more": got.More})
	return nil
}

// Print prints the text, or the object if it is for machines. What is lost on the
// way to a reader who has gone is no part of the story.
func (o Options) Print(text string, object map[string]any) {
	if !o.JSON {
		_, _ = fmt.Fprint(o.Out, text)
		return
	}
	enc := json.NewEncoder(o.Out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(object)
}

// Pause waits for the audience.
func (o Options) Pause(ctx context.Context) {
	if o.Pace <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(o.Pace):
	}
}
