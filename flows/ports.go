package flows

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Alias is a SHA-256 under which a run can be found: of a handle, or of the
// idempotency key of a start. The store never sees what was hashed.
type Alias [32]byte

// Record is a run at rest. The store treats Data as opaque (it is sealed) and
// compares Version.
type Record struct {
	ID      string // random, public; primary key
	Aliases []Alias
	Version int64 // 1 when created; the engine adds one per update
	Expires time.Time
	Data    []byte
}

// Store keeps runs. Safe for concurrent use; what it returns is a copy.
type Store interface {
	// Create stores a new run; [ErrExists] if its id or one of its aliases is taken by a record that has not expired at now.
	Create(ctx context.Context, r Record, now time.Time) error
	// Load finds a run by any of its aliases; [ErrNotFound] if there is none or if now is not before Expires.
	// An alias is valid only if the record that it leads to lists it: drivers may keep stale pointers.
	Load(ctx context.Context, a Alias, now time.Time) (Record, error)
	// Update replaces the run if its stored Version is r.Version-1, else
	// [ErrConflict] ([ErrNotFound] if it is gone). Aliases that r no longer has stop working in the same instant.
	Update(ctx context.Context, r Record) error
	// Expired returns at most limit runs that expired at or before now, the oldest first.
	Expired(ctx context.Context, now time.Time, limit int) ([]Record, error)
	// DeleteExpired removes at most limit runs, the oldest first, that expired at or before now and returns how many.
	DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error)
}

// Texts keeps the canonical text of the flows that runs are pinned to, by content hash.
type Texts interface {
	// PutText stores the text until then; of two instants for one hash the later counts.
	PutText(ctx context.Context, hash string, source []byte, until time.Time) error
	// Text returns the text, also after it expired as long as it is there; [ErrNotFound].
	Text(ctx context.Context, hash string) ([]byte, error)
	// DeleteExpiredTexts removes at most limit texts that expired at or before now.
	DeleteExpiredTexts(ctx context.Context, now time.Time, limit int) (int, error)
}

// Session is what completed runs leave. The store knows the hash of its secret only.
type Session struct {
	ID       string // "sid" of tokens; stays when the secret is replaced
	Secret   Alias
	Subject  string
	Client   string
	Key      string // thumbprint that it is bound to, "" if none
	Evidence []assurance.Evidence
	Roots    []Root // what it rests on elsewhere, and ends with
	Tags     []Tag
	Created  time.Time
	Began    time.Time // when the run began that left it: what an end of the account's sessions goes by
	Seen     time.Time // when the person last proved something or completed a run with it; zero: Created
	Expires  time.Time
}

// SessionsEnd says that the sessions of a subject ended.
type SessionsEnd struct {
	Subject string
	At      time.Time // sessions whose run began before this instant are over
	Spared  string    // ID of the session that goes on, "" if none does
	Until   time.Time // nothing that rests on a run which began before At can still be good
}

// Ends says whether a session of the subject is over that has this ID and began then.
func (e SessionsEnd) Ends(id string, began time.Time) bool {
	return began.Before(e.At) && (e.Spared == "" || e.Spared != id)
}

// Tag is a mark that a flow left on a run and on its session.
type Tag struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until,omitzero"` // zero: as long as what it is left on
}

// Sessions keeps sessions. Safe for concurrent use; what it returns is a copy.
type Sessions interface {
	// PutSession stores s; [ErrEnded] if the sessions of its subject were ended after it Began, and it is not the one spared,
	// or if one of its Roots has ended.
	PutSession(ctx context.Context, s Session) error
	// Session finds a session by its secret; [ErrNotFound] if there is none or if now is not before Expires.
	Session(ctx context.Context, secret Alias, now time.Time) (Session, error)
	// SessionByID finds a session by its ID, whatever its secret is now; [ErrNotFound]
	// if there is none or if now is not before Expires.
	SessionByID(ctx context.Context, id string, now time.Time) (Session, error)
	// DeleteExpiredSessions removes at most limit sessions that expired at or before
	// now, and as many ends; it returns how many sessions.
	DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (int, error)
	SessionEnds
	RootEnds
}

// SessionEnds ends sessions: one by one, or all that an account has.
type SessionEnds interface {
	// RemoveSession removes the session of that secret; absent is no error.
	RemoveSession(ctx context.Context, secret Alias) error
	// EndSession removes every session of that ID; absent is no error.
	EndSession(ctx context.Context, id string) error
	// EndSessions ends what an account has: in one instant it removes every session of
	// end.Subject that Began before end.At, but for those with the ID that it spares,
	// and from then on, at least until end.Until, PutSession refuses such sessions. So none
	// survives that a run is about to leave. Of two ends of one subject the later
	// (by At) is kept; the same one again changes nothing.
	EndSessions(ctx context.Context, end SessionsEnd) error
	// SessionsEnded returns the end of that subject's sessions that is kept, the zero
	// value if there is none or if now is not before its Until.
	SessionsEnded(ctx context.Context, subject string, now time.Time) (SessionsEnd, error)
}

// RootEnds ends sessions with what they rest on.
type RootEnds interface {
	// EndRooted ends a root: in one instant it removes every session that rests on it
	// and returns them, and from then on, at least until end.Until, PutSession refuses
	// such sessions. Of two ends of one root the later (by At) is kept.
	EndRooted(ctx context.Context, end RootEnd) ([]Session, error)
	// Rootless says whether one of these roots has ended.
	Rootless(ctx context.Context, roots []Root, now time.Time) (bool, error)
}

// Counter is the state of one throttled key. The zero value is a key that nobody tried.
type Counter struct {
	Failures int       // consecutive failures, reserved ones included
	Until    time.Time // no attempt before this instant; zero: none
	Expires  time.Time // when the counter may be forgotten; zero: never
}

// Throttle counts attempts. Every method is atomic across all nodes and runs.
type Throttle interface {
	// Change replaces the counter of key by what next makes of it as it stands
	// (zero if there is none). next may be called more than once, must be pure and
	// must not use the store. If it returns an error nothing changes and the
	// error comes back unwrapped. A zero result removes the counter.
	Change(ctx context.Context, key string, next func(Counter) (Counter, error)) error
	// DeleteExpiredCounters removes at most limit counters that expired at or before now.
	DeleteExpiredCounters(ctx context.Context, now time.Time, limit int) (int, error)
}

// Marks are one-time marks: DPoP proof ids, codes, states.
type Marks interface {
	// TakeMark takes the mark for owner until expires. If it is held by another owner and
	// now is before its expiry: [ErrTaken]. The same owner may take it again; the later expiry counts.
	TakeMark(ctx context.Context, mark, owner string, now, expires time.Time) error
	// DeleteExpiredMarks removes at most limit marks that expired at or before now.
	DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error)
}

// Values are what all nodes share and change seldom, by name. Safe for concurrent use;
// what it returns is a copy.
type Values interface {
	// Value returns a value and its version; [ErrNotFound].
	Value(ctx context.Context, name string) (data []byte, version int64, err error)
	// PutValue stores a value if the stored version is version-1, or if there is none and
	// version is 1; else [ErrConflict].
	PutValue(ctx context.Context, name string, data []byte, version int64) error
}

// AccountStatus says whether an account may be used.
type AccountStatus string

// The account states. Anything else counts as disabled.
const (
	AccountActive   AccountStatus = "active"
	AccountDisabled AccountStatus = "disabled"
)

// Account is what the engine may know of an account.
type Account struct {
	Subject        string
	Status         AccountStatus
	Attributes     map[string]string
	Authenticators []Authenticator // active and pending ones
	Contacts       []Contact       // where its owner is told what happens to it
	Accepted       []string        // ids of the documents that were accepted
}

// Contact is an address that was verified to be the account owner's.
type Contact struct {
	Channel string // "email" or "sms"
	To      string
}

// Authenticator is what the engine may know of a bound authenticator.
type Authenticator struct {
	ID      string
	Type    string
	Binding assurance.Level
	Key     string // thumbprint of the device key that it belongs to, "" if none
	Pending bool   // its binding is not complete: it counts only in the run that binds it
	// Attested is true if the maker of the device has vouched for the key: then it is
	// not Unattested. What is neither has nothing to do with makers, or cannot be read.
	Attested bool
	// Unattested is true if nobody vouched for where it is kept, so that it cannot
	// prove what only attested ones of its type can.
	Unattested bool
}

// Accounts looks accounts up.
type Accounts interface {
	// Account returns the account of that subject; [ErrNotFound].
	Account(ctx context.Context, subject string) (Account, error)
	// Resolve returns the subject that an identifier (login id) belongs to, "" if
	// to none, and the one spelling of the identifier, "" if it has none.
	Resolve(ctx context.Context, identifier string) (subject, canonical string, err error)
	// Activate makes a pending authenticator an active one; one that is not pending is no error.
	Activate(ctx context.Context, authenticator string) error
	// Disable takes an authenticator out of use for good; one that is out of use is no error.
	Disable(ctx context.Context, authenticator string) error
}

// Event is one audit event. It holds no secret.
type Event struct {
	ID      string    `json:"id"` // unique; recording the same id again is no error and adds nothing
	Time    time.Time `json:"time"`
	Type    string    `json:"type"` // closed set, see docs/operations.md
	Run     string    `json:"run,omitempty"`
	Flow    string    `json:"flow,omitempty"`
	Step    string    `json:"step,omitempty"`
	Turn    int       `json:"turn,omitempty"`
	Client  string    `json:"client,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Target  string    `json:"target,omitempty"`
	Reason  string    `json:"reason,omitempty"` // closed word
	ACR     string    `json:"acr,omitempty"`
	AMR     []string  `json:"amr,omitempty"`
	Request string    `json:"request,omitempty"` // id of the request, where the adapter gave one
}

// Recorder records audit events durably before it returns. If it fails, the answer is withheld.
type Recorder interface {
	Record(ctx context.Context, events ...Event) error
}

// Sealer encrypts and authenticates data at rest. AAD binds a ciphertext to its place.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Identity is what the assurance gate lets out: the only input of a Propagator.
type Identity struct {
	Subject  string
	Client   string
	Session  string // sid
	Run      string // ID of the run
	Provider string // whose tokens the target gets, "" if none's
	Key      string // thumbprint to bind the token to, "" if none
	ACR      string
	AMR      []string
	AuthTime time.Time
	Target   string
	Audience string
	TTL      time.Duration    // 0: the propagator's default
	Longest  time.Duration    // what the client's tokens may last at most; 0: no limit of its own
	Header   string           // that the token is for, "" if for none
	Cookie   *flowdefs.Cookie // that the token is for; nil: for none
	Claims   map[string]any   // mapped by the target; never reserved ones
	Approved []Approval       // transactions that the person has signed in this run
	Scope    []string         // of a token for a relying party
	Nonce    string           // of an ID token
	Access   string           // of an ID token: the access token that comes with it
	Now      time.Time
}

// Grant is what a propagator made of an identity.
type Grant struct {
	Type    string    `json:"type"`             // the propagator's type, e.g. "bearer_jwt"
	Token   string    `json:"token,omitempty"`  // a secret: shown once, to the client, in the completing answer; "": it stands in Cookie
	Header  string    `json:"header,omitempty"` // request header that Token belongs into, as it is
	Cookie  *Cookie   `json:"cookie,omitempty"` // that the adapter sets
	Scheme  string    `json:"scheme,omitempty"` // HTTP authentication scheme to present it with: "Bearer" or "DPoP"
	Expires time.Time `json:"expiresAt"`
}

// Cookie is a token that a browser gets without its scripts. The adapter sets it, until
// the grant expires, Secure and HttpOnly.
type Cookie struct {
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	Path   string `json:"path"`
	Strict bool   `json:"-"`
	Value  Secret `json:"-"` // the token
}

// Propagators that are no target's: what the authorization server issues beside access tokens.
const (
	IDToken     = "id_token"
	ClientToken = "client_token"
)

// Propagator turns an identity into something that target applications accept.
type Propagator interface {
	// Propagate is called only by the engine's issuing function.
	Propagate(ctx context.Context, id Identity) (Grant, error)
}
