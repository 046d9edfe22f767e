package flows

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A relying party that gets tokens on a session is written down beside them, as what the session
// leaves: so that it is told when the session ends, however it does, and whoever ends it. It is
// written before the tokens are answered; one that is told of a session of which it got nothing takes no harm.

// Party is a relying party that has got tokens on a session.
type Party struct {
	Client  string    `json:"client"`
	Subject string    `json:"subject"`
	Session string    `json:"session"`
	Expires time.Time `json:"expires"` // of the session: its relying parties know that it ends then
}

// partyPrefix stands before the client's id in [Kept.Provider]: no provider has a name with spaces.
const partyPrefix = "relying party "

// ForsakenAhead is how many of what ended sessions have left behind ([Leftovers.Forsaken]) are
// looked at in one go. Relying parties to be told and tokens of providers to be revoked are
// in one list, and each has somebody who cares for that kind alone.
const ForsakenAhead = 1000

// PartyOf is the client that is to be told of the end of the session that k belongs to,
// "" if k is something else.
func PartyOf(k Kept) string {
	id, ok := strings.CutPrefix(k.Provider, partyPrefix)
	if !ok {
		return ""
	}
	return id
}

// ReadParty opens what was kept.
func ReadParty(s Sealer, k Kept) (Party, error) {
	var p Party
	plain, err := s.Open(k.Data, KeptAAD(k))
	if err != nil {
		return p, fmt.Errorf("flows: unseal relying party: %w", err)
	}
	if err := json.Unmarshal(plain, &p); err != nil || p.Client != PartyOf(k) {
		return p, errors.New("flows: relying party cannot be read")
	}
	return p, nil
}

// enlist writes down that the client of a code gets tokens on its session.
func (e *Engine) enlist(ctx context.Context, a *authorization) error {
	c := a.trades
	if e.cfg.Leftovers == nil || c.OAuth == nil || c.OAuth.BackChannel == "" || a.until.IsZero() {
		return nil
	}
	name := sha256.Sum256([]byte(partyPrefix + c.ID + "\x00" + a.Session)) // once for each session
	k := Kept{ID: hex.EncodeToString(name[:]), Version: 1, Owner: a.Session, Provider: partyPrefix + c.ID}
	plain, err := json.Marshal(Party{Client: c.ID, Subject: a.Run.State.Subject, Session: a.Session, Expires: a.until})
	if err != nil {
		return err
	}
	if k.Data, err = e.cfg.Sealer.Seal(plain, KeptAAD(k)); err != nil {
		return fmt.Errorf("flows: seal relying party: %w", err)
	}
	if err := e.cfg.Leftovers.PutKept(ctx, k); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: relying party: %w", ErrUnavailable, err)
	}
	return nil
}
