package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// teller prints the story, for people or for machines.
type teller struct {
	out  io.Writer
	json bool
	mu   sync.Mutex

	queue  chan func() // steps that wait for their turn; nil: they do not
	queued sync.WaitGroup
}

// pace lets steps be printed no faster than one each d, while the story itself
// goes on: an exchange that waited for its audience would run into timeouts.
// The returned function ends that.
func (t *teller) pace(ctx context.Context, d time.Duration) (stop func()) {
	if d <= 0 {
		return func() {}
	}
	t.queue = make(chan func(), 64) // more than a run has steps
	go func() {
		for tell := range t.queue {
			pause(ctx, d)
			tell()
			t.queued.Done()
		}
	}()
	return func() { t.flush(); close(t.queue) }
}

// flush waits until every step that has happened is printed.
func (t *teller) flush() { t.queued.Wait() }

// print prints the text, or the object if it is for machines. What is lost on
// the way to a reader who has gone is no part of the story.
func (t *teller) print(text string, object map[string]any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.json {
		_, err := io.WriteString(t.out, text)
		return err
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(object)
}

func (t *teller) parts(p *parts) {
	_ = t.print(fmt.Sprintf("Stile     %s\nprovider  %s\nAPI       %s\n", p.node.URL(), p.provider.Issuer, p.bank.URL()),
		map[string]any{"stile": p.node.URL(), "provider": p.provider.Issuer, "api": p.bank.URL()})
}

func (t *teller) scene(s scene) {
	_ = t.print(fmt.Sprintf("\nRun %d. %s\n\n", s.run, s.title), map[string]any{"run": s.run, "title": s.title})
}

func (t *teller) step(s scene, number int, one step, lines []string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%3d. %s\n", number, one.title)
	for _, line := range lines {
		fmt.Fprintf(&text, "       %s\n", line)
	}
	object := map[string]any{"run": s.run, "step": number, "title": one.title, "lines": lines}
	if t.queue == nil {
		return t.print(text.String(), object)
	}
	t.queued.Add(1)
	t.queue <- func() { _ = t.print(text.String(), object) }
	return nil
}

func (t *teller) claims(s scene, claims map[string]any) {
	var text strings.Builder
	text.WriteString("\n     claims of the token\n")
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		value, _ := json.Marshal(claims[name]) // came from JSON
		if number, ok := claims[name].(float64); ok {
			value = fmt.Appendf(nil, "%.0f  (%s)", number, time.Unix(int64(number), 0).UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(&text, "       %-10s %s\n", name, value)
	}
	_ = t.print(text.String(), map[string]any{"run": s.run, "claims": claims})
}

func (t *teller) failed(err error) {
	object := map[string]any{"ok": false, "error": err.Error()}
	var s *StepError
	if errors.As(err, &s) {
		object["run"], object["step"], object["title"] = s.Run, s.Step, s.Title
	}
	_ = t.print("\nfailed: "+err.Error()+"\n", object)
}

func (t *teller) end(runs int) {
	words := map[int]string{3: "three", 4: "four"}
	_ = t.print("\nAll "+words[runs]+" runs went as they should.\n", map[string]any{"ok": true})
}

// kept tells how to go on by hand: with the client that needs no DPoP proofs, which curl does not make.
func (t *teller) kept(p *parts) {
	url := p.node.URL()
	_ = t.print(fmt.Sprintf(`
Everything goes on running until you press Ctrl-C.

  Stile      %[1]s   (JWKS: %[1]s/.well-known/jwks.json, metrics: %[1]s/metrics)
  provider   %[2]s   (user %[10]s, password %[4]q)
  API        %[5]s   (/accounts, /payments, /balance)
  data       %[6]s
  at Stile   login %[3]s, password %[7]q, PIN %[8]s, TOTP seed %[9]s

Drive a flow by hand:

  curl -s %[1]s/v1/flows -H 'Content-Type: application/json' -d '{"clientId":"bench","target":"ledger"}'
  HANDLE=...   # "handle" of the answer; take the new one whenever an answer has one
  curl -s "%[1]s/v1/flow/steps/password?turn=1" -H "Authorization: Flow $HANDLE" -H 'Content-Type: application/json' \
       -d '{"username":"%[3]s","password":"%[7]s"}'
  HANDLE=...
  curl -s "%[1]s/v1/flow/steps/code?turn=2" -H "Authorization: Flow $HANDLE" -H 'Content-Type: application/json' -d '{"code":"..."}'

`, url, p.provider.Issuer, login, p.provider.Password, p.bank.URL(), p.folder, password, pin, p.secret(), p.provider.Username),
		map[string]any{
			"kept": true, "stile": url, "provider": p.provider.Issuer, "api": p.bank.URL(), "data": p.folder,
			"users": map[string]any{"provider": []string{p.provider.Username, p.provider.Password}, "stile": []string{login, password, pin, p.secret()}},
		})
}

// codes prints Jane's one-time codes as they come until ctx is done.
func (t *teller) codes(ctx context.Context, p *parts, now func() time.Time) error {
	const period = 30 * time.Second
	for ctx.Err() == nil {
		at := now()
		code, err := p.code(at)
		if err != nil {
			return err
		}
		until := at.Truncate(period).Add(period)
		if err := t.print(fmt.Sprintf("  one-time code until %s: %s\n", until.Format(time.TimeOnly), code),
			map[string]any{"code": code, "until": until.UTC()}); err != nil {
			return err
		}
		pause(ctx, until.Sub(at))
	}
	return nil
}
