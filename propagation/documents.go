package propagation

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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
	Keys           *KeySet         // all are published, their public half only
	ACRValues      func() []string // every acr that a token can have now; at least one
	DPoPAlgorithms []string        // JWS algorithms of DPoP proofs that are accepted; none: no DPoP
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
// cached for ten minutes, and only copy what was rendered here.
func Documents(cfg DocumentsConfig) (map[string]http.Handler, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Keys == nil {
		return nil, fmt.Errorf("%w: no keys", ErrKey)
	}
	if cfg.ACRValues == nil || len(cfg.ACRValues()) == 0 {
		return nil, fmt.Errorf("propagation: metadata without acr values")
	}
	keys, err := render(publicKeys(cfg.Keys))
	if err != nil {
		return nil, err
	}
	handlers := map[string]http.Handler{PathKeys: keys}
	for path, about := range map[string]func(metadata) any{
		PathOAuth: func(m metadata) any { return m },
		PathOpenID: func(m metadata) any {
			return openIDMetadata{metadata: m, SubjectTypes: []string{"public"}, Algorithms: cfg.Keys.Algorithms()}
		},
	} {
		handlers[path] = &described{values: cfg.ACRValues, render: func(values []string) (*document, error) {
			return render(about(metadata{
				Issuer: cfg.Issuer, JWKSURI: cfg.Issuer + PathKeys,
				ResponseTypes: []string{}, GrantTypes: []string{},
				ACRValues: values, DPoPAlgorithms: cfg.DPoPAlgorithms,
			}))
		}}
	}
	return handlers, nil
}

// described is a document that lists levels: it is rendered anew when a reload has changed them.
type described struct {
	values func() []string
	render func(values []string) (*document, error)
	now    atomic.Pointer[listing]
}

type listing struct {
	values []string
	doc    *document
}

// ServeHTTP answers as a document does.
func (d *described) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	values := d.values()
	now := d.now.Load()
	if now == nil || !slices.Equal(now.values, values) {
		doc, err := d.render(values)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		now = &listing{slices.Clone(values), doc}
		d.now.Store(now)
	}
	now.doc.ServeHTTP(w, r)
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
	h.Set("Cache-Control", "public, max-age=600")
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
