package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	interactionTTL = 10 * time.Minute
	sessionTTL     = 8 * time.Hour
	refreshTTL     = 30 * 24 * time.Hour
	sweepEvery     = time.Minute
)

// digest is what is kept of a secret: a lookup by it tells nothing through its
// timing.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// newSecret makes 256 random bits, in base64url.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// session is a browser in which somebody is signed in. It is not changed.
type session struct {
	sid      string // public name of the session: the sid claim
	csrf     string // for the sign-out form
	user     *User
	authTime time.Time
	expires  time.Time
}

// interaction is an authorization request that is waiting for a person.
type interaction struct {
	request authorizationRequest
	browser digest // of the cookie of the browser that brought the request
	csrf    string
	expires time.Time

	// The sids of the sessions in which the person has signed in for this very
	// request, has seen its consent page, and has allowed it. They are not
	// just true, because another user may sign in meanwhile, in another tab.
	loggedIn, shown, agreed string
}

// grant is what a user has allowed a client: the family of all tokens that
// come from one authorization. Only revoked changes.
type grant struct {
	client   *Client
	user     *User
	scopes   []string
	nonce    string
	sid      string
	authTime time.Time
	boundTo  string // thumbprint of the key that the code is bound to; "": none
	revoked  atomic.Bool
}

func (g *grant) offline() bool { return slices.Contains(g.scopes, "offline_access") }

type code struct {
	grant       *grant
	redirectURI string
	challenge   string
	expires     time.Time
	used        bool
}

type accessToken struct {
	grant   *grant
	scopes  []string
	boundTo string // thumbprint of the key that it is bound to; "": none
	expires time.Time
}

type refreshToken struct {
	grant   *grant
	expires time.Time
	used    bool
}

type consentKey struct{ subject, client string }

func (s session) consentKey(c *Client) consentKey { return consentKey{s.user.Subject, c.ID} }

// state is everything that the provider remembers, in memory.
type state struct {
	mu           sync.Mutex
	swept        time.Time
	interactions map[string]interaction
	sessions     map[digest]session
	consents     map[consentKey][]string
	grants       map[string][]*grant // by sid
	codes        map[digest]*code
	access       map[digest]accessToken
	refresh      map[digest]*refreshToken
	pushed       map[string]pushed
	once         map[string]bool // what is good once
}

func newState() *state {
	return &state{
		interactions: map[string]interaction{},
		sessions:     map[digest]session{},
		consents:     map[consentKey][]string{},
		grants:       map[string][]*grant{},
		codes:        map[digest]*code{},
		access:       map[digest]accessToken{},
		refresh:      map[digest]*refreshToken{},
		pushed:       map[string]pushed{},
		once:         map[string]bool{},
	}
}

// addInteraction stores a pending request and returns its name.
func (s *state) addInteraction(i interaction, now time.Time) string {
	id := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	s.interactions[id] = i
	return id
}

// updateInteraction replaces a pending request, unless it was taken meanwhile.
func (s *state) updateInteraction(id string, i interaction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.interactions[id]; ok {
		s.interactions[id] = i
	}
}

func (s *state) interaction(id string, now time.Time) (interaction, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.interactions[id]
	return i, ok && now.Before(i.expires)
}

// takeInteraction ends a pending request; only one caller gets true.
func (s *state) takeInteraction(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.interactions[id]
	delete(s.interactions, id)
	return ok
}

// addSession stores a session and returns the secret for the cookie.
func (s *state) addSession(sn session) string {
	secret := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[digestOf(secret)] = sn
	return secret
}

func (s *state) session(secret string, now time.Time) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sn, ok := s.sessions[digestOf(secret)]
	return sn, ok && now.Before(sn.expires)
}

// replaceSession forgets a session whose browser signs in again. What was
// granted in it stays.
func (s *state) replaceSession(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := digestOf(secret)
	delete(s.grants, s.sessions[d].sid)
	delete(s.sessions, d)
}

// endSession forgets the session and revokes what came from it, except what
// was granted for offline_access. It returns what was granted.
func (s *state) endSession(secret string) []*grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	sn := s.sessions[digestOf(secret)]
	delete(s.sessions, digestOf(secret))
	granted := s.grants[sn.sid]
	for _, g := range granted {
		if !g.offline() {
			g.revoked.Store(true)
		}
	}
	delete(s.grants, sn.sid)
	return granted
}

// consented says whether the user has already allowed the client all scopes.
func (s *state) consented(k consentKey, scopes []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, scope := range scopes {
		if !slices.Contains(s.consents[k], scope) {
			return false
		}
	}
	return true
}

func (s *state) addConsent(k consentKey, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consents[k] = slices.Concat(s.consents[k], scopes)
	slices.Sort(s.consents[k])
	s.consents[k] = slices.Compact(s.consents[k])
}

// sweep drops what has expired, at most once in a while. A code and a refresh
// token are remembered as long as their reuse could still do harm.
func (s *state) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for k, v := range s.interactions {
		if now.After(v.expires) {
			delete(s.interactions, k)
		}
	}
	for k, v := range s.sessions {
		if now.After(v.expires) {
			delete(s.sessions, k)
			delete(s.grants, v.sid)
		}
	}
	for k, v := range s.access {
		if now.After(v.expires) {
			delete(s.access, k)
		}
	}
	for k, v := range s.codes {
		if now.After(v.expires.Add(refreshTTL)) {
			delete(s.codes, k)
		}
	}
	for k, v := range s.refresh {
		if now.After(v.expires) {
			delete(s.refresh, k)
		}
	}
}
