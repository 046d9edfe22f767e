package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/memory"
)

const benchSecret = "a secret of a service that is measured"

// clientRounds is how often server and floor are asked in turn; the best round of each counts.
const clientRounds = 15

// measureClients compares what the authorization server does for services with bare
// handlers: tokens of client credentials with one that reads the form, signs once and makes the
// same write; introspection of a token that was seen before with one that reads the
// form and answers; of one that was not with one that verifies a signature besides. The server is the
// whole one, as "stile serve" runs it, in memory, where nothing hides what it costs.
func measureClients(ctx context.Context, requests int) ([]decision, error) {
	folder, err := os.MkdirTemp("", "stile-bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	n, err := startServices(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.Shutdown(context.WithoutCancel(ctx)) }()
	f, err := newFloor(ctx, setting{Store: "memory"})
	if err != nil {
		return nil, err
	}
	ask := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
	tokens, head, err := someTokens(ctx, n.URL(), ask, requests)
	if err != nil {
		return nil, err
	}
	floors := httptest.NewServer(serviceFloors(f, &f.key.PublicKey, head))
	defer floors.Close()
	own, err := f.sign()
	if err != nil {
		return nil, err
	}
	next := 0
	fresh := func() url.Values { next++; return url.Values{"token": {tokens[(next-1)%len(tokens)]}} }
	same := func(token string) func() url.Values { return func() url.Values { return url.Values{"token": {token}} } }
	all := []decision{
		{What: "client credentials", Least: 0.7}, {What: "introspection, seen before", Least: 0.8}, {What: "introspection, verified", Least: 0.7},
	}
	for i, c := range []struct {
		path, floor string
		form, least func() url.Values
	}{
		{"/oauth2/token", "/token", func() url.Values { return ask }, func() url.Values { return ask }},
		{"/oauth2/introspect", "/known", same(tokens[0]), same(own)},
		{"/oauth2/introspect", "/verified", fresh, same(own)},
	} {
		for round := range clientRounds + 1 {
			for _, one := range []struct {
				at   string
				form func() url.Values
				best *float64
			}{{n.URL() + c.path, c.form, &all[i].Server}, {floors.URL + c.floor, c.least, &all[i].Floor}} {
				rate, err := posts(ctx, one.at, one.form, requests/(clientRounds+1))
				if err != nil {
					return nil, err
				}
				if round > 0 { // the first warms up
					*one.best = max(*one.best, rate)
				}
			}
		}
	}
	return all, nil
}

// someTokens are tokens of a service, and what stands above the answers.
func someTokens(ctx context.Context, server string, ask url.Values, count int) (tokens []string, head http.Header, err error) {
	c := &caller{http.DefaultClient}
	for range count {
		var body tokenAnswer
		if body, head, err = c.post(ctx, server+"/oauth2/token", ask); err != nil {
			return nil, nil, err
		}
		tokens = append(tokens, body.Token)
	}
	head.Del("Content-Length")
	return tokens, head, nil
}

func startServices(ctx context.Context, folder string) (*node.Node, error) {
	text := fmt.Sprintf(`flows:
  sign-in: { steps: [{ id: password, type: password }] }
targets:
  api: { flow: sign-in, propagate: { type: bearer_jwt, audience: "https://api.example", ttl: 30m } }
clients:
  service:
    targets: [api]
    dpop: optional
    oauth: { auth: client_secret_basic, grants: [client_credentials], secret_hash: %x, scopes: [read] }
`, sha256.Sum256([]byte(benchSecret)))
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "flows"), 0o700), os.WriteFile(filepath.Join(folder, "flows", "all.yaml"), []byte(text), 0o600)); err != nil {
		return nil, err
	}
	cfg, err := config.Default()
	if err != nil {
		return nil, err
	}
	cfg.Listen, cfg.DataDir, cfg.Definitions = "127.0.0.1:0", folder, filepath.Join(folder, "flows")
	cfg.Store, cfg.Limits.Burst = config.Store{Type: "memory"}, 0
	return node.Start(ctx, cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
}

// serviceFloors are the bare handlers.
func serviceFloors(f *floor, public *ecdsa.PublicKey, head http.Header) http.Handler {
	store := memory.New()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, content any) {
		body, err := json.Marshal(content)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		for name, value := range head { // an answer of the same size
			w.Header()[name] = value
		}
		_, _ = w.Write(body)
	}
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		token, err := f.sign()
		if err = errors.Join(err, r.ParseForm()); err == nil {
			err = store.Record(r.Context(), flows.Event{ID: rand.Text(), Time: time.Now(), Type: flows.EventTokenIssued, Client: "service", Target: "api"})
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 1800, "scope": "read"})
	})
	claims := map[string]any{
		"active": true, "token_type": "Bearer", "iss": "http://127.0.0.1:12345", "sub": "client:service", "client_id": "service", "aud": "https://api.example",
		"iat": 1, "exp": 2, "jti": rand.Text(), "scope": "read",
	}
	mux.HandleFunc("POST /known", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("token") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer(w, claims)
	})
	mux.HandleFunc("POST /verified", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		jws, err := jose.ParseSignedCompact(r.PostForm.Get("token"), []jose.SignatureAlgorithm{jose.ES256})
		if err == nil {
			_, err = jws.Verify(public)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, claims)
	})
	return mux
}

// caller is a service that asks.
type caller struct{ client *http.Client }

type tokenAnswer struct {
	Token  string `json:"access_token"`
	Active bool   `json:"active"`
}

func (c *caller) post(ctx context.Context, to string, form url.Values) (tokenAnswer, http.Header, error) {
	var out tokenAnswer
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return out, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("service", benchSecret)
	resp, err := c.client.Do(r)
	if err != nil {
		return out, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil || resp.StatusCode != http.StatusOK || out.Token == "" && !out.Active {
		return out, nil, fmt.Errorf("bench: %s answered %s: %s (%w)", to, resp.Status, body, err)
	}
	return out, resp.Header, nil
}

// posts is how many forms are answered in a second, one after the other on one connection.
func posts(ctx context.Context, to string, form func() url.Values, requests int) (float64, error) {
	wire := &http.Transport{}
	defer wire.CloseIdleConnections()
	c := &caller{&http.Client{Transport: wire}}
	began := time.Now()
	for i := range max(1, requests) + 1 {
		if i == 1 { // connected
			began = time.Now()
		}
		if _, _, err := c.post(ctx, to, form()); err != nil {
			return 0, err
		}
	}
	return float64(max(1, requests)) / time.Since(began).Seconds(), nil
}
