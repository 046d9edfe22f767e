package propagation

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The paths of the documents, below the issuer.
const (
	PathKeys   = "/.well-known/jwks.json"
	PathOpenID = "/.well-known/openid-configuration"
	PathOAuth  = "/.well-known/oauth-authorization-server"
)

// DocumentsConfig is what the published documents say.
type DocumentsConfig struct {
	Issuer         string          // as in [BearerConfig]
	Keys           Source          // all are published, their public half only
	ACRValues      func() []string // every acr that a token can have now; at least one
	DPoPAlgorithms []string        // JWS algorithms of DPoP proofs that are accepted; none: no DPoP
	Server         map[string]any  // what else the metadata says: of an authorization server; default: that there is none
}

// metadata says what exists and nothing else. There is no authorization and
// no token endpoint yet: the two empty lists say so, where leaving them out
// would promise the code and implicit grants by default (RFC 8414 §2).
type metadata struct {
	Issuer         string   `json:"issuer"`
	JWKSURI        string   `json:"jwks_uri"`
	ResponseTypes  []string `json:"response_types_supported"`
	GrantTypes     []string `json:"grant_types_supported"`
	ACRValues      []string `json:"acr_values_supported"`
	DPoPAlgorithms []string `json:"dpop_signing_alg_values_supported,omitempty"`
}

// openIDMetadata adds what OpenID Connect Discovery 1.0 §3 requires. The
// algorithms are those of the published keys: relying parties take the ones
// that they accept from here.
type openIDMetadata struct {
	metadata
	SubjectTypes []string `json:"subject_types_supported"`
	Algorithms   []string `json:"id_token_signing_alg_values_supported"`
}

// Documents renders the key set (RFC 7517) and the two metadata documents and
// returns a handler for each path. The handlers answer GET and HEAD, may be
// cached for ten minutes ([CacheAge]), and only copy what was rendered once for these keys.
func Documents(ctx context.Context, cfg DocumentsConfig) (map[string]http.Handler, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Keys == nil {
		return nil, fmt.Errorf("%w: no keys", ErrKey)
	}
	if cfg.ACRValues == nil || len(cfg.ACRValues()) == 0 {
		return nil, fmt.Errorf("propagation: metadata without acr values")
	}
	now := func(ctx context.Context) (moment, error) {
		set, err := cfg.Keys.Current(ctx)
		return moment{set, cfg.ACRValues()}, err
	}
	about := func(m moment) metadata {
		return metadata{
			Issuer: cfg.Issuer, JWKSURI: cfg.Issuer + PathKeys,
			ResponseTypes: []string{}, GrantTypes: []string{},
			ACRValues: m.values, DPoPAlgorithms: cfg.DPoPAlgorithms,
		}
	}
	handlers := map[string]http.Handler{}
	for path, content := range map[string]func(moment) any{
		PathKeys:  func(m moment) any { return publicKeys(m.set) },
		PathOAuth: func(m moment) any { return with(about(m), cfg.Server) },
		PathOpenID: func(m moment) any {
			return with(openIDMetadata{metadata: about(m), SubjectTypes: []string{"public"}, Algorithms: m.set.Algorithms()}, cfg.Server)
		},
	} {
		d := &living{now: now, content: content}
		if _, err := d.current(ctx); err != nil {
			return nil, err
		}
		handlers[path] = d
	}
	return handlers, nil
}

// with adds members to metadata; of one name those that are added count.
func with(m any, more map[string]any) any {
	if len(more) == 0 {
		return m
	}
	text, err := json.Marshal(m)
	all := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return m // which does not render either
	}
	maps.Copy(all, more)
	return all
}

// moment is what the documents are made of.
type moment struct {
	set    *KeySet
	values []string
}

// living is a document that is rendered anew when keys were rotated, or a reload has changed the levels.
type living struct {
	now      func(context.Context) (moment, error)
	content  func(moment) any
	rendered atomic.Pointer[edition]
}

type edition struct {
	of  moment
	doc *document
}

func (d *living) current(ctx context.Context) (*document, error) {
	m, err := d.now(ctx)
	if err != nil {
		return nil, err
	}
	if e := d.rendered.Load(); e != nil && e.of.set == m.set && slices.Equal(e.of.values, m.values) {
		return e.doc, nil
	}
	doc, err := render(d.content(m))
	if err != nil {
		return nil, err
	}
	m.values = slices.Clone(m.values)
	d.rendered.Store(&edition{m, doc})
	return doc, nil
}

// ServeHTTP answers as a document does, and 503 if the keys of now are not known: what
// is published must not be older than what others sign with.
func (d *living) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	doc, err := d.current(r.Context())
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	doc.ServeHTTP(w, r)
}

func publicKeys(set *KeySet) any {
	keys := make([]jwk, 0, len(set.keys))
	for _, k := range set.keys {
		keys = append(keys, k.public)
	}
	return map[string][]jwk{"keys": keys}
}

// document is a rendered JSON document.
type document struct {
	body   []byte
	etag   string
	length string
}

// Document renders content as JSON and returns a handler of it: GET and HEAD, and
// caches may keep it for ten minutes.
func Document(content any) (http.Handler, error) { return render(content) }

func render(content any) (*document, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return &document{body: body, etag: `"` + encode(sum[:16]) + `"`, length: strconv.Itoa(len(body))}, nil
}

// ServeHTTP answers GET and HEAD, with 304 for a tag that is still right (RFC 9110 §13.1.2).
func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(CacheAge/time.Second)))
	h.Set("ETag", d.etag)
	if d.known(r.Header.Values("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", d.length)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(d.body) // a reader that went away gets no answer
}

func (d *document) known(tags []string) bool {
	for _, line := range tags {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == d.etag || tag == "*" {
				return true
			}
		}
	}
	return false
}
