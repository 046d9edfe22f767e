package story

import (
	"context"
	"net/http"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation/rp"
)

// Guarded serves an API that verifies tokens of Stile with package rp.
func (h *House) Guarded(ctx context.Context, audience string, routes func(*rp.Guard) http.Handler) (url string, err error) {
	l, url, err := h.Listen(ctx) // a guard has to know by what name it is reached
	if err != nil {
		return "", err
	}
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{Issuer: h.Node.URL(), Network: oidcclient.Loopback, Now: h.Now})
	if err != nil {
		return "", err
	}
	guard, err := rp.New(rp.Config{Issuer: h.Node.URL(), Audience: audience, Origin: url, Keys: keys, Now: h.Now})
	if err != nil {
		return "", err
	}
	h.Serve(l, routes(guard))
	return url, nil
}
