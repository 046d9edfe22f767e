package bank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Config describes the API. All fields are required unless a default is named.
type Config struct {
	// Issuer is who must have made the tokens, compared exactly.
	Issuer string
	// JWKSURL is where its public keys are.
	JWKSURL string
	// HTTPClient fetches the keys. Default http.DefaultClient.
	HTTPClient *http.Client
	// Now is the clock that tokens are judged by.
	Now func() time.Time
	// Realm is the name in challenges: letters, digits, spaces, dots and dashes. Default "bank".
	Realm string
	// Resources are what the API has. At least one.
	Resources []Resource
}

// Resource is one protected path.
type Resource struct {
	// Path is matched exactly, for example "/payments".
	Path string
	// Audience must be among the token's.
	Audience string
	// ACRValues are the authentication levels that satisfy, in rising order;
	// the challenge lists them so. Empty: any, even none.
	ACRValues []string
	// AMR are methods that must all have been used. Empty: any.
	AMR []string
	// MaxAge is how old the authentication may be, in whole seconds. 0: any age.
	MaxAge time.Duration
}

// Bank is the API. Safe for concurrent use.
type Bank struct {
	cfg    Config
	keys   oidc.KeySet
	proofs *proofs
	server *http.Server

	mu       sync.Mutex
	listener net.Listener
}

// New checks the configuration. It does not listen and fetches no keys yet.
func New(cfg Config) (*Bank, error) {
	if cfg.Realm == "" {
		cfg.Realm = "bank"
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx := context.Background() // the key set outlives every request
	if cfg.HTTPClient != nil {
		ctx = oidc.ClientContext(ctx, cfg.HTTPClient)
	}
	b := &Bank{cfg: cfg, keys: oidc.NewRemoteKeySet(ctx, cfg.JWKSURL), proofs: newProofs(cfg.Now)}
	mux := http.NewServeMux()
	for _, r := range cfg.Resources {
		mux.HandleFunc("GET "+r.Path, func(w http.ResponseWriter, req *http.Request) { b.serve(w, req, r) })
	}
	b.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	return b, nil
}

func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf("bank: "+format, args...)) }
	if c.Issuer == "" || c.JWKSURL == "" || c.Now == nil || len(c.Resources) == 0 {
		bad("Issuer, JWKSURL, Now and Resources are required")
	}
	if strings.ContainsFunc(c.Realm, notInRealm) {
		bad("realm %q", c.Realm)
	}
	paths := map[string]bool{}
	for _, r := range c.Resources {
		if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, "{} ") || strings.HasSuffix(r.Path, "/") || paths[r.Path] {
			bad("path %q is not one absolute path of its own", r.Path)
		}
		paths[r.Path] = true
		if r.Audience == "" {
			bad("%s: no audience", r.Path)
		}
		if r.MaxAge < 0 || r.MaxAge%time.Second != 0 {
			bad("%s: max age %s is not in whole seconds", r.Path, r.MaxAge)
		}
		for _, acr := range r.ACRValues {
			if acr == "" || strings.ContainsFunc(acr, notInACR) {
				bad("%s: acr %q", r.Path, acr)
			}
		}
	}
	return errors.Join(problems...)
}

func notInACR(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

func notInRealm(r rune) bool { return r != ' ' && notInACR(r) }

// Start listens on a loopback address ("127.0.0.1:0" takes a free port) and
// serves until Close.
func (b *Bank) Start(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("bank: %q is not a loopback address", addr)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		_ = l.Close()
		return errors.New("bank: started already")
	}
	b.listener = l
	go func() { _ = b.server.Serve(l) }() // ends with Close
	return nil
}

// URL is the base URL without a closing slash; "" before Start.
func (b *Bank) URL() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener == nil {
		return ""
	}
	return "http://" + b.listener.Addr().String()
}

// Close stops listening and breaks what is under way.
func (b *Bank) Close() error { return b.server.Close() }

// serve answers one request for a resource.
func (b *Bank) serve(w http.ResponseWriter, req *http.Request, r Resource) {
	w.Header().Set("Cache-Control", "no-store")
	c, refused := b.authenticate(req, r)
	if refused == nil {
		refused = b.require(c, r)
	}
	if refused != nil {
		b.refuse(w, r, refused)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"resource": r.Path, "subject": c.subject, "acr": c.acr, "amr": c.amr, "claims": c.all,
	})
}

func writeJSON(w http.ResponseWriter, status int, media string, body map[string]any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
