package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
)

// The paths of the endpoints, below the issuer.
const (
	PathAuthorize  = "/oauth2/authorize"
	PathToken      = "/oauth2/token" //nolint:gosec // a path, no credential
	PathRevoke     = "/oauth2/revoke"
	PathIntrospect = "/oauth2/introspect"
	PathUserInfo   = "/oauth2/userinfo"
	PathLogout     = "/oauth2/logout"
)

// maxForm bounds a request, in bytes.
const maxForm = 64 << 10

// engine is what the endpoints need; [flows.Engine] has it.
type engine interface {
	Start(ctx context.Context, c flows.Caller, q flows.StartRequest) (flows.View, error)
	Cancel(ctx context.Context, h flows.Secret, c flows.Caller) (flows.View, error)
	SignOut(ctx context.Context, session flows.Secret, c flows.Caller) (*flows.Departure, error)
	SignOutOf(ctx context.Context, session flows.Secret, id string, c flows.Caller) error
	grants
	clients
}

// clients finds them, wherever they stand.
type clients interface {
	Client(ctx context.Context, id string) (flows.Found, error)
	OwnClient(ctx context.Context, id string) (flows.Found, error)
	Admit(ctx context.Context, caller flows.Caller, id, method, secret string) (c flows.Found, admitted bool, err error)
}

type grants interface {
	Redeem(ctx context.Context, c flows.Caller, q flows.Redemption) (flows.Issued, error)
	Revoke(ctx context.Context, c flows.Caller, client string, g flows.Secret) error
	Inspect(ctx context.Context, g flows.Secret) (flows.GrantInfo, error)
	Alive(ctx context.Context, subject, session string, detached bool) error
	ClientToken(ctx context.Context, c flows.Caller, client flows.Found, target string, scope []string) (flows.Issued, error)
	TakeProof(ctx context.Context, thumbprint, jti string, expires time.Time) error
}

var _ engine = (*flows.Engine)(nil)

// verifier checks DPoP proofs; dpop.Verifier does. An error that is not
// dpop.ErrProof means that it could not tell.
type verifier interface {
	Verify(ctx context.Context, headers []string, method, url, accessToken string) (thumbprint string, err error)
}

// Pages keep what a browser holds, and draw runs there.
type Pages interface {
	// Session is the session that the browser holds, "" if none.
	Session(r *http.Request) flows.Secret
	// Begin goes on from the first view of a run that this browser runs: it shows the
	// prompt, or, once the run has ended, gives the view to [Server.Return].
	Begin(w http.ResponseWriter, r *http.Request, v flows.View)
	// Forget drops the session that the browser holds.
	Forget(w http.ResponseWriter)
	Leaving
	Telling
	// Draws are the codes of the steps that pages can draw.
	Draws() []string
}

// Leaving is the pages of a sign-out.
type Leaving interface {
	// AskSignOut asks the person whether they want to sign out. The form comes back to the
	// action with the parameters; redirect is where the browser may be sent then, "" if nowhere.
	AskSignOut(w http.ResponseWriter, r *http.Request, action string, parameters url.Values, redirect string)
	// AnswerOf is what the person of the browser's session answered: "leave", "stay", or "" if
	// they did not.
	AnswerOf(r *http.Request, parameters url.Values) string
	// SignedOut is the page behind an answer that leads nowhere else.
	SignedOut(w http.ResponseWriter, r *http.Request, answer string)
}

// Telling is what pages say where no run is drawn.
type Telling interface {
	// Refuse tells the person what cannot be told to the application, by the id of the text.
	Refuse(w http.ResponseWriter, r *http.Request, status int, message string)
	// Fail tells the person that something does not work.
	Fail(w http.ResponseWriter, r *http.Request, err error)
	// PostOn sends the browser to an address with the values of a form.
	PostOn(w http.ResponseWriter, r *http.Request, to string, values url.Values)
}

// Config is what the endpoints are made of. All fields are required.
type Config struct {
	Issuer      string // an origin without a closing slash
	Engine      engine // a *flows.Engine
	Keys        propagation.Source
	DPoP        verifier             // a *dpop.Verifier that asks for nonces
	Nonce       func() string        // hands out one
	Definitions func() *flowdefs.Set // the active ones
	Pages       Pages
	Logger      *zap.Logger
	Now         func() time.Time
}

// Server is the endpoints. It is safe for concurrent use.
type Server struct {
	cfg  Config
	mux  *http.ServeMux
	seen seen
}

var _ http.Handler = (*Server)(nil)

// New makes the endpoints.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Keys == nil || cfg.DPoP == nil || cfg.Nonce == nil || cfg.Definitions == nil || cfg.Pages == nil || cfg.Logger == nil || cfg.Now == nil {
		return nil, errors.New("provider: a field of its configuration is missing")
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	for _, method := range []string{"GET ", "POST "} {
		s.mux.HandleFunc(method+PathAuthorize, s.authorize)
		s.mux.HandleFunc(method+PathUserInfo, s.userInfo)
		s.mux.HandleFunc(method+PathLogout, s.logout)
	}
	s.mux.HandleFunc("POST "+PathToken, s.direct(s.token))
	s.mux.HandleFunc("POST "+PathRevoke, s.direct(s.revoke))
	s.mux.HandleFunc("POST "+PathIntrospect, s.direct(s.introspect))
	return s, nil
}

// ServeHTTP answers requests at the endpoints.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	s.mux.ServeHTTP(w, r)
}

// Metadata is what the metadata documents say besides (RFC 8414 §2, OpenID Connect Discovery 1.0 §3).
func Metadata(issuer string) map[string]any {
	auth := []string{flowdefs.AuthBasic, flowdefs.AuthPost, flowdefs.AuthPrivateKey}
	return map[string]any{
		"authorization_endpoint": issuer + PathAuthorize, "token_endpoint": issuer + PathToken,
		"revocation_endpoint": issuer + PathRevoke, "introspection_endpoint": issuer + PathIntrospect,
		"userinfo_endpoint": issuer + PathUserInfo, "end_session_endpoint": issuer + PathLogout,
		"response_types_supported": []string{"code"}, "response_modes_supported": []string{modeQuery, modeForm},
		"grant_types_supported":                 []string{flowdefs.GrantCode, flowdefs.GrantRefresh, flowdefs.GrantClient},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": append([]string{flowdefs.AuthNone}, auth...), "token_endpoint_auth_signing_alg_values_supported": assertionNames(),
		"revocation_endpoint_auth_methods_supported": append([]string{flowdefs.AuthNone}, auth...), "revocation_endpoint_auth_signing_alg_values_supported": assertionNames(),
		"introspection_endpoint_auth_methods_supported": auth, "introspection_endpoint_auth_signing_alg_values_supported": assertionNames(),
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"authorization_response_iss_parameter_supported": true, "claims_parameter_supported": true,
		"request_parameter_supported": false, "request_uri_parameter_supported": false,
		"scopes_supported":        []string{scopeOpenID, scopeOffline},
		"claims_supported":        []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"},
		"prompt_values_supported": []string{promptNone, promptLogin, promptSelect},
	}
}

// client is a relying party that may send people here, nil if there is none of that id.
func (s *Server) client(ctx context.Context, id string) (*flowdefs.Client, error) {
	found, err := s.cfg.Engine.OwnClient(ctx, id)
	if errors.Is(err, flows.ErrNotFound) || err == nil && found.OAuth == nil {
		return nil, nil //nolint:nilnil // see above
	}
	return found.Client, err
}

// target is what a client asks a token for: the target of its resource (RFC 8707 §2), or the only one that it has.
func (s *Server) target(c *flowdefs.Client, resources []string) (*flowdefs.Target, *failure) {
	all := s.cfg.Definitions().Targets
	if len(resources) > 1 {
		return nil, fail(errTarget, "a token is for one resource")
	}
	for _, name := range c.Targets {
		t := all[name]
		if t == nil || !t.Bearer() { // what it gets is no token of ours, or not for whoever asks
			continue
		}
		if len(resources) == 0 && len(c.Targets) == 1 || len(resources) == 1 && t.Audience() == resources[0] {
			return t, nil
		}
	}
	return nil, fail(errTarget, "name the resource that the token is for")
}

// granted is what a client gets of the scopes that it asks for.
func granted(c *flowdefs.Client, asked []string) []string {
	var out []string
	for _, scope := range asked {
		if slices.Contains(c.OAuth.Scopes, scope) && !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	return out
}
