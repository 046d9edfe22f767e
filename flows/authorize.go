package flows

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// An authorization is what a run leaves for a relying party: no token, but a
// code, which the relying party trades for tokens, and may go on to trade what it
// gets besides, a refresh token, for newer ones. It is a record beside the runs. It
// keeps the run as it was completed, so that each trade passes the gate again: a
// level decays, an account is disabled, a session ends.
type authorization struct {
	Run     *run      `json:"run"`
	Session string    `json:"session"` // id of the one that the run has left
	Secret  Alias     `json:"secret"`  // of what is good now
	Former  *Alias    `json:"former,omitempty"`
	Turned  time.Time `json:"turned,omitzero"`  // when Former was traded
	Redeem  bool      `json:"redeem,omitempty"` // the code was redeemed: what is good now is a refresh token
	Key     string    `json:"key,omitempty"`    // thumbprint that the refresh token is bound to, "" if none
	Detach  bool      `json:"detach,omitempty"` // it outlives its session (offline_access)
	Until   time.Time `json:"until"`            // when no refresh token is good any more

	// Redeemer trades the code, which the run's own client has got and hands over to it; "": that client trades it itself.
	Redeemer string `json:"redeemer,omitempty"`

	id      string
	version int64
	until   time.Time // when its session expires; zero: it has ended
	trades  *flowdefs.Client
}

const (
	authorizationPrefix = "authorization." // no run has an id with a full stop
	codeLife            = time.Minute      // RFC 6749 §4.1.2: ten minutes at most
	againWithin         = 10 * time.Second // how long an answer that was lost may be asked for again
)

// ErrGrant says that a code or a refresh token is not good: unknown, used,
// expired, another client's, or without what it rests on.
var ErrGrant = errors.New("flows: the grant is not valid")

// ErrPeople says that a target asks for somebody who has signed in.
var ErrPeople = errors.New("flows: the target is for people")

// ErrOther says that a session is another one than was meant.
var ErrOther = errors.New("flows: another session")

// Terms are what a relying party gets for a grant.
type Terms struct {
	Scope   []string      // of the access token
	ID      bool          // an ID token too
	Nonce   string        // of the ID token, "" if none
	Refresh time.Duration // how long refresh tokens are good, from the redemption of the code; 0: there is none
	Detach  bool          // refresh tokens outlive the session
}

// Redemption trades a code or a refresh token.
type Redemption struct {
	Client string // that asks
	Known  bool   // and has proved who it is
	Grant  Secret
	Code   bool // Grant is a code
	// Check holds the request of the trade against that of the start. It is the adapter's:
	// redirect URI, code verifier, scopes. Its errors come back as they are, and the grant stays.
	Check func(request json.RawMessage, subject string) (Terms, error)
	// Once does so where the run was started by an app for whom another client trades the
	// code: the app has said at its start what the code verifier is made for (RFC 7636 §4.2,
	// S256). nil: no such code is good.
	Once func(challenge string) (Terms, error)
}

// Issued is what a relying party gets.
type Issued struct {
	Access  Grant
	ID      string // ID token, "" if none
	Refresh Secret // "" if none
	Scope   []string
}

func isAuthorization(r Record) bool { return strings.HasPrefix(r.ID, authorizationPrefix) }

func authorizationAAD(id string, version int64) []byte {
	return fmt.Appendf(nil, "authorization\x00%s\x00%d", id, version)
}

// newGrant makes a secret that leads to the authorization: its id, and 256 random bits.
func (a *authorization) newGrant() Secret {
	secret, alias := newHandle()
	a.Secret = alias
	return Secret(strings.TrimPrefix(a.id, authorizationPrefix) + "." + string(secret))
}

// parseGrant takes a grant apart.
func parseGrant(g Secret) (id string, secret Alias, ok bool) {
	name, rest, found := strings.Cut(string(g), ".")
	alias, good := parseSecret(Secret(rest))
	return authorizationPrefix + name, alias, found && good && name != "" && len(name) < 64
}

// found is the alias under which an authorization is found. It is not what makes a grant good.
func found(id string) Alias { return secretAlias([]byte(id)) }

func (e *Engine) authorizationRecord(a *authorization, version int64, expires time.Time) (Record, error) {
	plain, err := json.Marshal(a) //nolint:gosec // hashes of secrets, and sealed
	if err != nil {
		return Record{}, fmt.Errorf("flows: encode authorization: %w", err)
	}
	data, err := e.cfg.Sealer.Seal(plain, authorizationAAD(a.id, version))
	if err != nil {
		return Record{}, fmt.Errorf("flows: seal authorization: %w", err)
	}
	return Record{ID: a.id, Aliases: []Alias{found(a.id)}, Version: version, Expires: expires, Data: data}, nil
}

// authorize makes the code that the run leaves instead of a token. The gate has opened.
func (x *exchange) authorize(out *issuance) (*Grant, error) {
	kept := *x.r
	kept.Answered, kept.Effects, kept.Messages, kept.Notices = nil, nil, nil, nil
	a := &authorization{Run: &kept, Session: x.session.ID, Redeemer: out.as.Redeemer, id: authorizationPrefix + newID()}
	code := a.newGrant()
	expires := x.w.now.Add(codeLife)
	rec, err := x.e.authorizationRecord(a, 1, expires)
	if err != nil {
		return nil, err
	}
	x.code = &rec
	typ := flowdefs.GrantCode
	if a.Redeemer != "" {
		typ = out.as.Type
	}
	return &Grant{Type: typ, Token: string(code), Expires: expires}, nil
}

// holder is the client that trades.
func (a *authorization) holder() string { return cmp.Or(a.Redeemer, a.Run.Client) }

// check holds a trade against what the run was started with.
func (a *authorization) check(q Redemption) (Terms, error) {
	switch {
	case a.Redeemer == "":
		return q.Check(a.Run.Code, a.Run.State.Subject)
	case !q.Known || q.Once == nil:
		return Terms{}, ErrGrant
	}
	return q.Once(a.Run.Challenge)
}

// Redeem trades a grant. A code is good once: whoever presents it again, or a refresh
// token that was traded, ends all that came of it (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
// [ErrGrant] if it is not good; a [*Problem] for all else but the errors of Check.
func (e *Engine) Redeem(ctx context.Context, c Caller, q Redemption) (Issued, error) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	out, err := e.redeem(ctx, c, q)
	if errors.Is(err, ErrGrant) {
		return Issued{}, errors.Join(err, e.Refuse(ctx, c, "invalid_grant"))
	}
	return out, err
}

func (e *Engine) redeem(ctx context.Context, c Caller, q Redemption) (Issued, error) {
	a, err := e.authorization(ctx, q.Grant)
	if err != nil {
		return Issued{}, err
	}
	if a.holder() != q.Client || a.Key != "" && a.Key != c.Key {
		return Issued{}, ErrGrant
	}
	now := e.cfg.Now().UTC()
	// Who has a code and not what belongs to it (RFC 7636) trades nothing, and ends nothing either.
	terms, err := a.check(q)
	if err != nil {
		return Issued{}, err
	}
	if err := a.good(q, now); err != nil {
		return Issued{}, errors.Join(err, e.revoke(ctx, a, "grant_reused"))
	}
	return e.renew(ctx, c, q, a, terms)
}

// good says whether a grant is the one that is good now. A refresh token that was traded a
// moment ago is good once more for who can prove that it is still the same: the answer may have been lost.
func (a *authorization) good(q Redemption, now time.Time) error {
	_, secret, _ := parseGrant(q.Grant)
	is := func(b Alias) bool { return subtle.ConstantTimeCompare(secret[:], b[:]) == 1 }
	if is(a.Secret) && q.Code == !a.Redeem {
		return nil
	}
	again := a.Former != nil && is(*a.Former) && now.Sub(a.Turned) <= againWithin
	if again && !q.Code && (q.Known || a.Key != "") {
		return nil
	}
	return ErrGrant
}

func (e *Engine) authorization(ctx context.Context, g Secret) (*authorization, error) {
	id, _, ok := parseGrant(g)
	if !ok {
		return nil, ErrGrant
	}
	rec, err := e.cfg.Store.Load(ctx, found(id), e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, ErrGrant
	}
	if err != nil {
		return nil, err
	}
	plain, err := e.cfg.Sealer.Open(rec.Data, authorizationAAD(rec.ID, rec.Version))
	if err != nil {
		e.cfg.Logger.Error("authorization does not open")
		return nil, ErrGrant
	}
	a := &authorization{id: rec.ID, version: rec.Version}
	if err := json.Unmarshal(plain, a); err != nil {
		return nil, fmt.Errorf("flows: decode authorization: %w", err)
	}
	return a, nil
}

// renew passes the gate again with what the run has proved, as things are now.
func (e *Engine) renew(ctx context.Context, c Caller, q Redemption, a *authorization, terms Terms) (Issued, error) {
	x, issued, err := e.again(ctx, c, a)
	if err != nil {
		return Issued{}, err
	}
	out := Issued{Scope: terms.Scope}
	id := x.identity(issued)
	id.Client, id.Session, id.Key, id.Scope = a.holder(), a.Session, c.Key, terms.Scope
	if least := a.trades.TTL; least > 0 && (id.Longest == 0 || least < id.Longest) {
		id.Longest = least
	}
	if out.Access, err = x.propagated(ctx, issued, id); err != nil {
		if errors.Is(err, ErrSignOnAgain) {
			err = fmt.Errorf("%w: %w", ErrGrant, err)
		}
		return Issued{}, err
	}
	if terms.ID {
		id.Audience, id.Nonce, id.Key, id.Scope, id.TTL, id.Longest = a.Run.Client, terms.Nonce, "", nil, 0, 0
		id.Access = out.Access.Token
		token, err := e.cfg.Propagators[IDToken].Propagate(ctx, id)
		if err != nil {
			return Issued{}, err
		}
		out.ID = token.Token
	}
	if q.Code {
		if err := e.enlist(ctx, a); err != nil {
			return Issued{}, err
		}
	}
	if err := e.turn(ctx, c, q, a, terms, x.p, &out, issued); err != nil {
		return Issued{}, err
	}
	return out, nil
}

// again passes the gate with what the run of a grant has proved, as things are now, and asks
// the steps that obtained what can be taken back. [ErrGrant] if no token would be issued now.
func (e *Engine) again(ctx context.Context, c Caller, a *authorization) (*exchange, *issuance, error) {
	x := &exchange{e: e, a: e.active.Load(), c: c, r: a.Run}
	err := e.findClient(ctx, x.a, a.Run)
	if err != nil {
		return nil, nil, err
	}
	if x.client = a.Run.client; x.client == nil || !slices.Contains(x.client.Targets, a.Run.Target) {
		return nil, nil, ErrGrant
	}
	if err := x.redeemer(ctx, a); err != nil {
		return nil, nil, err
	}
	if x.p, err = e.program(ctx, x.a, a.Run.Definition); err != nil {
		return nil, nil, &Problem{Kind: KindUnavailable, Code: CodeDefinitionGone, Detail: "Try again later.", Err: err}
	}
	if err := x.lookAgain(ctx, a); err != nil {
		return nil, nil, err
	}
	x.r.State.Status = InProgress
	m := machine{ctx: ctx, p: x.p, s: x.r.State.clone(), w: x.w}
	mv := m.gate()
	if mv.kind != moveIssue {
		return nil, nil, fmt.Errorf("%w: %s", ErrGrant, m.s.Failure)
	}
	if mv.issue.as.Redeemer != a.Redeemer {
		return nil, nil, fmt.Errorf("%w: the target gets its token in another way by now", ErrGrant)
	}
	return x, mv.issue, x.stands(ctx)
}

// redeemer looks up who trades, as it is now, if that is not the run's own client.
func (x *exchange) redeemer(ctx context.Context, a *authorization) error {
	a.trades = x.client
	if a.Redeemer == "" {
		return nil
	}
	found, err := x.e.ownClient(ctx, x.a, a.Redeemer)
	if errors.Is(err, ErrNotFound) || err == nil && !slices.Contains(found.Targets, a.Run.Target) {
		return ErrGrant
	}
	a.trades = found.Client
	return err
}

// stands asks the steps that the run completed whether what they obtained still stands.
func (x *exchange) stands(ctx context.Context) error {
	for i := range x.p.nodes {
		n := &x.p.nodes[i]
		k, ok := n.step.(Keeper)
		if !ok || !x.r.State.Steps[n.def.ID].Done {
			continue
		}
		if err := k.Keeps(ctx, x.visit(n, x.r.State.Turn)); err != nil {
			if errors.Is(err, ErrWithdrawn) {
				err = fmt.Errorf("%w: %w", ErrGrant, err)
			}
			return err
		}
	}
	return nil
}

// lookAgain gathers the facts of now. What the target asks about time is asked of now,
// what the relying party asked was asked at the sign-in.
func (x *exchange) lookAgain(ctx context.Context, a *authorization) error {
	if err := x.look(ctx); err != nil {
		return err
	}
	session, err := x.e.cfg.Sessions.SessionByID(ctx, a.Session, x.w.now)
	if a.until = session.Expires; err != nil {
		a.until = time.Time{}
	}
	switch {
	case errors.Is(err, ErrNotFound) && !a.Detach:
		return fmt.Errorf("%w: the session has ended", ErrGrant)
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	x.w.over = false // what it stood for when the run completed, it stood for
	x.w.goal.notBefore = time.Time{}
	within := []flowdefs.Requirement{x.client.Requires, x.client.Least}
	if t := x.w.goal.target; t != nil {
		within = append(within, t.Requires)
	}
	for _, least := range within {
		if at := x.w.now.Add(-least.MaxAge); least.MaxAge > 0 && at.After(x.w.goal.notBefore) {
			x.w.goal.notBefore = at
		}
	}
	return nil
}

// turn stores what becomes of the grant, and records the trade before it is answered. Of
// two trades of one grant one counts.
func (e *Engine) turn(ctx context.Context, c Caller, q Redemption, a *authorization, terms Terms, p *program, out *Issued, issued *issuance) error {
	now := e.cfg.Now().UTC()
	if _, secret, _ := parseGrant(q.Grant); secret == a.Secret { // else it is the former one, again
		a.Former, a.Turned = &secret, now
	}
	expires := out.Access.Expires // so long a code that comes again is known
	if q.Code {
		a.Redeem, a.Detach, a.Until = true, terms.Detach, now.Add(terms.Refresh)
		if terms.Refresh > 0 {
			a.Key = c.Key
		}
	}
	if now.Before(a.Until) {
		out.Refresh = a.newGrant()
		expires = a.Until
		if err := e.pin(ctx, p.flow, expires); err != nil { // the gate needs it each time
			return err
		}
	} else {
		a.Secret = Alias{} // nothing is good any more
	}
	a.Run.State.Status = Completed
	rec, err := e.authorizationRecord(a, a.version+1, expires)
	if err != nil {
		return err
	}
	err = e.cfg.Store.Update(ctx, rec)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: it is being traded", ErrGrant)
	}
	if err != nil {
		return err
	}
	return e.audited(ctx, Event{
		ID: newID(), Time: now, Type: EventTokenIssued, Run: a.Run.ID, Flow: a.Run.Flow, Client: a.holder(), Target: a.Run.Target,
		Subject: a.Run.State.Subject, ACR: issued.acr, AMR: issued.result.AMR, Request: c.RequestID,
	})
}

// Revoke ends all that came of a grant, code or refresh token; one that is not good,
// or another client's, is the same as none (RFC 7009 §2.2).
func (e *Engine) Revoke(ctx context.Context, c Caller, client string, g Secret) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	a, err := e.authorization(ctx, g)
	if errors.Is(err, ErrGrant) || err == nil && a.holder() != client {
		return nil
	}
	if err != nil {
		return err
	}
	return e.revoke(ctx, a, "revoked")
}

func (e *Engine) revoke(ctx context.Context, a *authorization, why string) error {
	now := e.cfg.Now().UTC()
	a.Secret, a.Former, a.Until, a.Redeem = Alias{}, nil, now, true
	rec, err := e.authorizationRecord(a, a.version+1, now)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.Update(ctx, rec); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return e.audited(ctx, Event{
		ID: newID(), Time: now, Type: EventGrantRevoked, Run: a.Run.ID, Flow: a.Run.Flow, Client: a.Run.Client, Target: a.Run.Target,
		Subject: a.Run.State.Subject, Reason: why,
	})
}

// GrantInfo says of a refresh token whose it is and until when it is good (RFC 7662 §2.2).
type GrantInfo struct {
	Client, Subject, Session string
	Expires                  time.Time
}

// Inspect tells of a refresh token that would be traded now; else [ErrGrant].
func (e *Engine) Inspect(ctx context.Context, g Secret) (GrantInfo, error) {
	a, err := e.authorization(ctx, g)
	if err != nil {
		return GrantInfo{}, err
	}
	_, secret, _ := parseGrant(g)
	if !a.Redeem || subtle.ConstantTimeCompare(secret[:], a.Secret[:]) != 1 {
		return GrantInfo{}, ErrGrant
	}
	if _, _, err := e.again(ctx, Caller{}, a); err != nil {
		return GrantInfo{}, err
	}
	return GrantInfo{a.Run.Client, a.Run.State.Subject, a.Session, a.Until}, nil
}

// Alive returns nil if the account may be used and the session has not ended; else
// [ErrGrant], or what kept it from being known.
func (e *Engine) Alive(ctx context.Context, subject, session string, detached bool) error {
	account, err := e.cfg.Accounts.Account(ctx, subject)
	if errors.Is(err, ErrNotFound) || err == nil && account.Status != AccountActive {
		return ErrGrant
	}
	if err != nil || detached {
		return err
	}
	_, err = e.cfg.Sessions.SessionByID(ctx, session, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return ErrGrant
	}
	return err
}

// ClientToken issues a token to a client that acts for itself (RFC 6749 §4.4). The
// adapter has authenticated it; nobody has signed in, and the token says so: it has
// no level and no session. So it is for no target that asks for people, or that asks
// what a run has shown before it gives a token: [ErrPeople].
func (e *Engine) ClientToken(ctx context.Context, c Caller, who Found, target string, scope []string) (Issued, error) {
	t := e.active.Load().set.Targets[target]
	if t == nil || !slices.Contains(who.Targets, target) {
		return Issued{}, ErrGrant
	}
	client, p := who.ID, &t.Propagate[0]
	if t.Requires != (flowdefs.Requirement{}) || len(t.Authorize) > 0 || p.If != nil || p.Type != flowdefs.BearerJWT {
		return Issued{}, ErrPeople
	}
	now := e.cfg.Now().UTC()
	grant, err := e.cfg.Propagators[ClientToken].Propagate(ctx, Identity{
		Subject: client, Client: client, Key: c.Key, Target: target, Audience: p.Audience, TTL: p.TTL, Longest: who.TTL, Scope: scope, Now: now,
	})
	if err != nil {
		return Issued{}, err
	}
	events := []Event{{ID: newID(), Time: now, Type: EventTokenIssued, Client: client, Target: target, Request: c.RequestID}}
	if who.Dropped > 0 {
		events = append(events, Event{ID: newID(), Time: now, Type: EventClientBounded, Client: client, Target: target, Request: c.RequestID})
	}
	if err := e.audited(ctx, events...); err != nil {
		return Issued{}, err
	}
	return Issued{Access: grant, Scope: scope}, nil
}

// audited records what is about to be answered; if that fails nothing is.
func (e *Engine) audited(ctx context.Context, events ...Event) error {
	if err := e.cfg.Recorder.Record(ctx, events...); err != nil {
		return fmt.Errorf("%w: audit: %w", ErrUnavailable, err)
	}
	return nil
}
