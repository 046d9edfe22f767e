package service

import (
	"encoding/json"
	"net/http"

	"github.com/stile-auth/stile/propagation/gateway"
)

// shop is the API: it says who it takes the caller for, and believes what it is told.
func shop() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"caller": r.Header.Get(gateway.HeaderSubject), "scope": r.Header.Get(gateway.HeaderScope),
		})
	})
}
