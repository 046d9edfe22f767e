package bench

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

// decision is one row of the table of decisions of the gateway.
type decision struct {
	What   string  `json:"what"`
	Server float64 `json:"decisionsPerSecond"`
	Floor  float64 `json:"floorPerSecond"`
	Least  float64 `json:"leastOfFloor"`
}

const (
	gateIssuer   = "https://id.bank.example"
	gateAudience = "https://api.bank.example"
	gateRounds   = 25
)

// measureGateway compares decisions with bare handlers of the same server: one that
// answers, for decisions about tokens that are remembered, and one that verifies one
// signature and answers, for those that are not. Both are asked in turn, over HTTP, and the best
// round of each counts: what else the machine does slows all down.
func measureGateway(ctx context.Context, requests int) ([]decision, error) {
	key, err := propagation.GenerateKey(propagation.ES256)
	if err != nil {
		return nil, err
	}
	keys, err := propagation.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	issuer, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: gateIssuer, Keys: keys})
	if err != nil {
		return nil, err
	}
	grant, err := issuer.Propagate(ctx, flows.Identity{
		Subject: "jane", Client: "app", Session: "s", ACR: "aal2", AMR: []string{"pwd", "otp", "mfa"}, AuthTime: now, Audience: gateAudience,
		Scope: []string{"read"}, TTL: time.Hour, Now: now,
	})
	if err != nil {
		return nil, err
	}
	bare := func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		for _, name := range gateway.Headers() {
			h.Set(name, "jane")
		}
		w.WriteHeader(http.StatusOK)
	}
	all := []decision{{What: "remembered", Least: 0.8}, {What: "verified", Least: 0.7}}
	for i, floor := range []http.HandlerFunc{bare, verifying(key.Public(), bare)} {
		g, err := gateway.New(gateway.Config{
			Issuer: gateIssuer, Keys: keys, Now: time.Now, Remember: 1000 * (1 - i),
			Resources: []gateway.Resource{{
				Name: "orders", Origin: "https://shop.example", Path: "/orders", For: gateway.ForToken, Audience: gateAudience, Rule: rp.Rule{Scopes: []string{"read"}, ACR: []string{"aal2"}, MaxAge: time.Hour},
			}},
		})
		if err != nil {
			return nil, err
		}
		if err := race(ctx, &all[i], g, floor, grant.Token, requests); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// verifying is a handler that does what cannot be spared: one signature.
func verifying(public crypto.PublicKey, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		jws, err := jose.ParseSignedCompact(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.ES256})
		if err == nil {
			_, err = jws.Verify(public)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// race asks both in turn.
func race(ctx context.Context, d *decision, g, floor http.Handler, token string, requests int) error {
	for round := range gateRounds + 1 {
		for _, c := range []struct {
			h    http.Handler
			best *float64
		}{{g, &d.Server}, {floor, &d.Floor}} {
			rate, err := decisions(ctx, c.h, token, requests/gateRounds)
			if err != nil {
				return err
			}
			if round > 0 { // the first warms up
				*c.best = max(*c.best, rate)
			}
		}
	}
	return nil
}

// decisions is how many a handler answers in a second, one after the other on one connection.
func decisions(ctx context.Context, h http.Handler, token string, requests int) (float64, error) {
	s := httptest.NewServer(h)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	began := time.Now()
	for i := range max(1, requests) + 1 {
		if i == 1 { // connected
			began = time.Now()
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+gateway.PathForwarded, http.NoBody)
		if err != nil {
			return 0, err
		}
		for name, value := range map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Host": "shop.example", "X-Forwarded-Uri": "/orders/7?page=2", "Authorization": "Bearer " + token} {
			r.Header.Set(name, value)
		}
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); errors.Join(err, resp.Body.Close()) != nil || resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("bench: gateway answered %s", resp.Status)
		}
	}
	return float64(max(1, requests)) / time.Since(began).Seconds(), nil
}

// tableGateway prints a table; [errOverLimit] if something is slower than it may be.
func tableGateway(out io.Writer, all []decision) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "decision\ta second\tfloor\tof floor\tat least\t")
	over := error(nil)
	for _, d := range all {
		verdict := "ok"
		if d.Server < d.Least*d.Floor {
			verdict, over = "TOO SLOW", errOverLimit
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%.1f\t%s\n", d.What, d.Server, d.Floor, d.Server/d.Floor, d.Least, verdict)
	}
	return errors.Join(w.Flush(), over)
}
