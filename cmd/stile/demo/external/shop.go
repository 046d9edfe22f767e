package external

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation/rp"
)

const (
	audience   = "https://shop.example"
	usePrices  = "prices"
	useStock   = "stock"
	roleAdmin  = "administrator"
	readOrders = "orders:read"
)

// shop is the business: resources of four kinds, of which the last two have two each.
type shop struct {
	url           string
	appKey, clerk string // keys of the app, and of an administrator's tool
}

// openShop listens first: a guard has to know by what name it is reached.
func (w *world) openShop(ctx context.Context) (*shop, error) {
	l, url, err := w.Listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &shop{url: url}
	routes, err := s.routes(w.Node.URL(), w.Now)
	if err != nil {
		return nil, err
	}
	w.Serve(l, routes)
	return s, nil
}

func (s *shop) routes(issuer string, now func() time.Time) (http.Handler, error) {
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{Issuer: issuer, Network: oidcclient.Loopback, Now: now})
	if err != nil {
		return nil, err
	}
	guard, err := rp.New(rp.Config{Issuer: issuer, Audience: audience, Origin: s.url, Keys: keys, Now: now})
	if err != nil {
		return nil, err
	}
	var appHash, clerkHash string
	s.appKey, appHash = rp.NewAPIKey()
	s.clerk, clerkHash = rp.NewAPIKey()
	apps, err := rp.NewAPIKeys([]rp.APIKey{
		{Name: "the shop's app", Hash: appHash, Uses: []string{usePrices}},
		{Name: "the clerk's tool", Hash: clerkHash, Uses: []string{usePrices, useStock}},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /news", says("open at nine"))
	mux.Handle("GET /prices", apps.Require(usePrices, says("tea 4.50")))
	mux.Handle("GET /stock", apps.Require(useStock, says("tea 17")))
	mux.Handle("GET /orders", guard.Require(rp.Rule{Entitlements: []string{readOrders}}, says("tea, twice")))
	mux.Handle("GET /customers", guard.Require(rp.Rule{Roles: []string{roleAdmin}}, says("Jane, Ada")))
	return mux, nil
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"content": text})
	})
}

// entitlements is the shop's service that knows what people may do. It answers Stile
// alone: whoever calls signs, with a secret that both know.
type entitlements struct {
	url    string
	secret []byte
	now    func() time.Time
	of     map[string]permissions // by subject; filled before the first call
	down   atomic.Bool
}

type permissions struct {
	Permissions []string `json:"permissions"`
	Roles       []string `json:"roles"`
	Outcome     string   `json:"outcome"`
}

func (w *world) openEntitlements(ctx context.Context, secret string) (*entitlements, error) {
	l, url, err := w.Listen(ctx)
	if err != nil {
		return nil, err
	}
	e := &entitlements{url: url + "/", secret: []byte(secret), now: w.Now, of: map[string]permissions{}}
	w.Serve(l, e)
	return e, nil
}

// ServeHTTP says what the subject of a run may do.
func (e *entitlements) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	var asked struct{ Subject string }
	switch {
	case e.down.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case err != nil || !e.signed(r.Header.Get("Stile-Signature"), body) || json.Unmarshal(body, &asked) != nil:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	p := permissions{Permissions: []string{}, Roles: []string{}}
	if known, ok := e.of[asked.Subject]; ok {
		p = known
	}
	p.Outcome = "ok"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p)
}

// signed checks the signature of the step http_call, and that it was made now.
func (e *entitlements) signed(header string, body []byte) bool {
	at, mac, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || e.now().Sub(time.Unix(seconds, 0)).Abs() > time.Minute {
		return false
	}
	h := hmac.New(sha256.New, e.secret)
	fmt.Fprintf(h, "%s.%s", at, body)
	got, err := hex.DecodeString(mac)
	return err == nil && hmac.Equal(got, h.Sum(nil))
}
