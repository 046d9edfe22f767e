// Command resource is a target application for trials: an API that package rp guards, for
// scripts of one origin. It prints its address and a key for /prices as JSON, and serves
// until it is ended.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation/rp"
)

func main() {
	issuer := flag.String("issuer", "", "address of Stile")
	audience := flag.String("audience", "", "our name in tokens")
	origin := flag.String("origin", "", "whose scripts may call")
	flag.Parse()
	if err := serve(*issuer, *audience, *origin); err != nil {
		fmt.Fprintln(os.Stderr, "resource:", err)
		os.Exit(1)
	}
}

func serve(issuer, audience, origin string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	url := "http://" + l.Addr().String()
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{Issuer: issuer, Network: oidcclient.Loopback, Now: time.Now})
	if err != nil {
		return err
	}
	guard, err := rp.New(rp.Config{Issuer: issuer, Audience: audience, Origin: url, Keys: keys, Now: time.Now})
	if err != nil {
		return err
	}
	key, hash := rp.NewAPIKey()
	apps, err := rp.NewAPIKeys([]rp.APIKey{{Name: "web", Hash: hash, Uses: []string{"prices"}}})
	if err != nil {
		return err
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"here you are"}`))
	})
	mux := http.NewServeMux()
	mux.Handle("/prices", apps.Require("prices", ok))
	mux.Handle("/accounts", guard.Require(rp.Rule{}, ok))
	mux.Handle("/admin", guard.Require(rp.Rule{Roles: []string{"administrator"}}, ok))
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": url, "key": key}); err != nil {
		return err
	}
	server := &http.Server{Handler: rp.CORS([]string{origin}, mux), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}
