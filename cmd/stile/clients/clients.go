// Package clients is what an administrator does to the clients of a store: those that
// the definitions do not have, and bound (client_sources). Running servers go by it at their next request.
package clients

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// The types of the audit events.
const (
	EventAdded    = "client_added"
	EventChanged  = "client_changed"  // its text
	EventSecret   = "client_secret"   // it has a new secret, or, with the reason retired, no more than the newest
	EventDisabled = "client_disabled" // nobody can use it
	EventEnabled  = "client_enabled"
	EventRemoved  = "client_removed"
)

var (
	// ErrTaken reports an id that a client has already, here or in the definitions.
	ErrTaken = errors.New("a client has that id already")
	// ErrSecretless reports a client that proves who it is without a secret, or not at all.
	ErrSecretless = errors.New("the client has no secret: its oauth.auth is another way to prove who it is")
)

// Registrar changes clients. All fields are required.
type Registrar struct {
	Store       flows.StoredClients
	Recorder    flows.Recorder
	Definitions *flowdefs.Set
	Now         func() time.Time
}

// NewSecret makes a secret of 256 random bits, and its hash.
func NewSecret() (secret, hash string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	secret = base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(secret))
	return secret, hex.EncodeToString(sum[:])
}

// text is the text of a client, as far as anything in it is changed here.
type text map[string]any

func parse(raw []byte) (text, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out text
	if err := d.Decode(&out); err != nil || out == nil {
		return nil, errors.New("a client is one object in JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("a client is one object in JSON, with nothing behind it")
	}
	return out, nil
}

func (t text) oauth() map[string]any {
	o, _ := t["oauth"].(map[string]any)
	return o
}

func (t text) hashes() []any {
	switch h := t.oauth()["secret_hash"].(type) {
	case string:
		return []any{h}
	case []any:
		return h
	}
	return nil
}

// secret says whether the client proves itself with one.
func (t text) secret() bool {
	auth, _ := t.oauth()["auth"].(string)
	return auth == flowdefs.AuthBasic || auth == flowdefs.AuthPost
}

// Add stores a client, in the words of the section clients in JSON, and returns the secret that
// was made for it, "" if it needs none or its text has the hash of one. [ErrTaken];
// [flowdefs.Problems], also for what the definitions do not let it have.
func (r *Registrar) Add(ctx context.Context, id string, raw []byte) (secret string, err error) {
	t, err := parse(raw)
	if err != nil {
		return "", err
	}
	if r.Definitions.Clients[id] != nil {
		return "", ErrTaken
	}
	if t.secret() && t.hashes() == nil {
		var hash string
		secret, hash = NewSecret()
		t.oauth()["secret_hash"] = []any{hash}
	}
	now := r.Now().UTC()
	c := flows.StoredClient{ID: id, Version: 1, Created: now, Changed: now}
	err = r.put(ctx, c, t, flows.Event{Type: EventAdded})
	if errors.Is(err, flows.ErrConflict) {
		err = ErrTaken
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Change replaces the text of a client; its secrets stay unless the text has others. A client
// that had none and needs one by now gets one, which is returned; else "". [flows.ErrNotFound];
// [flows.ErrConflict] if somebody else changes it at once; [flowdefs.Problems] as of [Registrar.Add].
func (r *Registrar) Change(ctx context.Context, id string, raw []byte) (secret string, err error) {
	t, err := parse(raw)
	if err != nil {
		return "", err
	}
	c, before, err := r.Show(ctx, id)
	if err != nil {
		return "", err
	}
	if t.secret() && t.hashes() == nil {
		hashes := before.hashes()
		if len(hashes) == 0 {
			var hash string
			secret, hash = NewSecret()
			hashes = []any{hash}
		}
		t.oauth()["secret_hash"] = hashes
	}
	if err := r.change(ctx, c, t, flows.Event{Type: EventChanged}); err != nil {
		return "", err
	}
	return secret, nil
}

// Secret makes a new secret. The newest one before it stays good until [Registrar.Retire],
// so that the client can be told meanwhile. [flows.ErrNotFound], [ErrSecretless], [flows.ErrConflict].
func (r *Registrar) Secret(ctx context.Context, id string) (secret string, err error) {
	c, t, err := r.Show(ctx, id)
	if err != nil {
		return "", err
	}
	if !t.secret() {
		return "", ErrSecretless
	}
	secret, hash := NewSecret()
	all := []any{hash}
	if before := t.hashes(); len(before) > 0 {
		all = append(all, before[0])
	}
	t.oauth()["secret_hash"] = all
	if err := r.change(ctx, c, t, flows.Event{Type: EventSecret}); err != nil {
		return "", err
	}
	return secret, nil
}

// Retire ends all secrets but the newest. [flows.ErrNotFound], [ErrSecretless], [flows.ErrConflict].
func (r *Registrar) Retire(ctx context.Context, id string) error {
	c, t, err := r.Show(ctx, id)
	if err != nil {
		return err
	}
	if !t.secret() {
		return ErrSecretless
	}
	t.oauth()["secret_hash"] = t.hashes()[:1]
	return r.change(ctx, c, t, flows.Event{Type: EventSecret, Reason: "retired"})
}

// Enable lets a client be used, or with false nobody use it. [flows.ErrNotFound], [flows.ErrConflict].
func (r *Registrar) Enable(ctx context.Context, id string, usable bool) error {
	c, err := r.Store.StoredClient(ctx, id)
	if err != nil {
		return err
	}
	event := flows.Event{Type: EventEnabled}
	if c.Disabled = !usable; c.Disabled {
		event.Type = EventDisabled
	}
	c.Version, c.Changed = c.Version+1, r.Now().UTC()
	if err := r.record(ctx, id, event); err != nil {
		return err
	}
	return r.Store.PutClient(ctx, c)
}

// Remove removes a client. [flows.ErrNotFound].
func (r *Registrar) Remove(ctx context.Context, id string) error {
	if _, err := r.Store.StoredClient(ctx, id); err != nil {
		return err
	}
	if err := r.record(ctx, id, flows.Event{Type: EventRemoved}); err != nil {
		return err
	}
	return r.Store.RemoveClient(ctx, id)
}

// Show returns a client, and what its text says, with the hashes of its secrets. [flows.ErrNotFound].
func (r *Registrar) Show(ctx context.Context, id string) (flows.StoredClient, text, error) {
	c, err := r.Store.StoredClient(ctx, id)
	if err != nil {
		return c, nil, err
	}
	t, err := parse(c.Text)
	return c, t, err
}

// List returns every client, by id.
func (r *Registrar) List(ctx context.Context) ([]flows.StoredClient, error) {
	const page = 200
	var all []flows.StoredClient
	for after := ""; ; after = all[len(all)-1].ID {
		some, err := r.Store.StoredClients(ctx, after, page)
		if all = append(all, some...); err != nil || len(some) < page {
			return all, err
		}
	}
}

func (r *Registrar) change(ctx context.Context, c flows.StoredClient, t text, event flows.Event) error {
	c.Version, c.Changed = c.Version+1, r.Now().UTC()
	return r.put(ctx, c, t, event)
}

// put stores what the definitions let be a client, and nothing else: what they would
// take away from it later, whoever adds it is told now.
func (r *Registrar) put(ctx context.Context, c flows.StoredClient, t text, event flows.Event) error {
	var err error
	if c.Text, err = json.Marshal(t); err != nil {
		return err
	}
	_, dropped, err := r.Definitions.StoredClient(c.ID, c.Text)
	if err == nil && dropped > 0 {
		err = fmt.Errorf("client %q: %d of its flows, targets, grants and scopes are beyond what client_sources allows", c.ID, dropped)
	}
	if err != nil {
		return err
	}
	if err := r.record(ctx, c.ID, event); err != nil {
		return err
	}
	return r.Store.PutClient(ctx, c)
}

// record comes first: an event too many is better than a change that nobody hears of.
func (r *Registrar) record(ctx context.Context, id string, e flows.Event) error {
	e.ID, e.Time, e.Client = rand.Text(), r.Now().UTC(), id
	return r.Recorder.Record(ctx, e)
}
