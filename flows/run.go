package flows

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// run is one execution of a flow as it is kept, sealed, in the store.
type run struct {
	ID         string         `json:"id"`
	Flow       string         `json:"flow"`
	Definition string         `json:"definition"` // content hash that it finishes on
	Client     string         `json:"client"`
	Target     string         `json:"target,omitempty"`
	Key        string         `json:"key,omitempty"`
	Locale     string         `json:"locale,omitempty"`
	Redirect   string         `json:"redirect,omitempty"` // where the app has the browser come back to; "": the client's first
	Draws      []string       `json:"draws,omitempty"`
	ACRValues  []string       `json:"acrValues,omitempty"`
	Voluntary  bool           `json:"voluntary,omitempty"` // ACRValues are wished for, not necessary
	Requires   string         `json:"requires,omitempty"`  // of the target when the run started
	Wants      []string       `json:"wants,omitempty"`     // likewise of the client: each of these levels
	Scale      string         `json:"scale,omitempty"`     // likewise
	MaxAge     *time.Duration `json:"maxAge,omitempty"`    // goal: what was proved longer than this before the start does not count; nil: no limit
	Started    time.Time      `json:"started"`

	Code json.RawMessage `json:"code,omitempty"` // of a run that leaves an authorization code: what its adapter wants to know then

	Challenge   string            `json:"challenge,omitempty"`   // of a one-time code: see [StartRequest.CodeChallenge]
	Transaction map[string]string `json:"transaction,omitempty"` // in the client's words
	Expires     time.Time         `json:"expires"`
	Proved      bool              `json:"proved,omitempty"` // the handle was replaced at the first proof
	State       State             `json:"state"`

	Handle    Alias        `json:"handle"`            // of the current handle
	Retired   *Alias       `json:"retired,omitempty"` // of the handle that the current one replaced
	Begun     *Alias       `json:"begun,omitempty"`   // of the idempotency key of the start
	BegunBody [32]byte     `json:"begunBody"`
	Answered  *answered    `json:"answered,omitempty"`
	Handover  *handover    `json:"handover,omitempty"` // to a page, of the prompt that waits
	Effects   []Event      `json:"effects,omitempty"`  // of the last change: recorded again on load if this node did not see it done
	Activate  []string     `json:"activate,omitempty"` // authenticators that the last change makes active, likewise
	Remove    []string     `json:"remove,omitempty"`   // authenticators that the last change takes out of use, likewise
	Ends      *SessionsEnd `json:"ends,omitempty"`     // of the account's other sessions, which the last change brings, likewise
	Changed   bool         `json:"changed,omitempty"`  // it has made the change that ended the account's other sessions
	Leaves    string       `json:"leaves,omitempty"`   // ID of the session that the run will leave, once it has to be known
	Messages  []Message    `json:"messages,omitempty"` // that the last change sends, likewise
	Notices   []Message    `json:"notices,omitempty"`  // that it tells the account's owner, likewise

	version int64
	ignored bool             // a session was presented that counts for nothing
	client  *flowdefs.Client // as it is now; nil: it is none any more
}

// requires are the levels that the run has to reach.
func (r *run) requires() []string {
	if r.Requires == "" {
		return r.Wants
	}
	return append([]string{r.Requires}, r.Wants...)
}

// sessionClient is whose the session is that the run leaves: the client's, or, if
// a browser runs it, the browser's, for whichever relying party.
func (r *run) sessionClient() string {
	if r.Code != nil {
		return ""
	}
	return r.Client
}

// newHandle makes the secret that continues a run: 256 random bits.
func newHandle() (Secret, Alias) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return Secret(base64.RawURLEncoding.EncodeToString(b[:])), secretAlias(b[:])
}

// parseSecret returns the alias of a handle or session secret in its one
// canonical spelling; false for anything else.
func parseSecret(s Secret) (Alias, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(s))
	if err != nil || len(b) != 32 || len(s) != 43 {
		return Alias{}, false
	}
	return secretAlias(b), true
}

func secretAlias(b []byte) Alias { return sha256.Sum256(append([]byte("secret\x00"), b...)) }

func startAlias(client, key string) Alias {
	return sha256.Sum256([]byte("start\x00" + client + "\x00" + key))
}

// newID returns a random public name of 130 bits.
func newID() string { return rand.Text() }

func (e *Engine) record(r *run, version int64) (Record, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return Record{}, fmt.Errorf("flows: encode run: %w", err)
	}
	data, err := e.cfg.Sealer.Seal(plain, runAAD(r.ID, version))
	if err != nil {
		return Record{}, fmt.Errorf("flows: seal run: %w", err)
	}
	rec := Record{ID: r.ID, Version: version, Expires: r.Expires, Data: data, Aliases: []Alias{r.Handle}}
	for _, a := range slices.Concat([]*Alias{r.Retired, r.Begun}, r.Handover.aliases(), r.State.Link.alias()) {
		if a != nil {
			rec.Aliases = append(rec.Aliases, *a)
		}
	}
	return rec, nil
}

// openRecord undoes record. A record that was moved, rolled back or altered does not open.
func (e *Engine) openRecord(rec Record) (*run, error) {
	plain, err := e.cfg.Sealer.Open(rec.Data, runAAD(rec.ID, rec.Version))
	if err != nil {
		return nil, fmt.Errorf("flows: unseal run: %w", err)
	}
	r := &run{version: rec.Version}
	if err := json.Unmarshal(plain, r); err != nil {
		return nil, fmt.Errorf("flows: decode run: %w", err)
	}
	return r, nil
}

func runAAD(id string, version int64) []byte {
	return fmt.Appendf(nil, "run\x00%s\x00%d", id, version)
}
