package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// site is two origins with TLS, as browsers have them: the server behind a proxy, and a
// relying party. Their certificates are of an authority that the browser is told of by
// the hash of its key.
type site struct {
	t         *testing.T
	server    string // origin of stile
	party     string // origin of the relying party
	listen    string // where stile has to serve
	authority string // hash of the key
	client    *http.Client

	certificate       tls.Certificate
	certificates, key string // the same and its key in PEM, with the authority
	root              string // the authority in PEM
}

func newSite(t *testing.T) *site {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	must(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	must(t, err)
	certificate := tls.Certificate{Certificate: [][]byte{der, root}, PrivateKey: leafKey}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	sum := sha256.Sum256(spki)
	parsed, err := x509.ParseCertificate(root)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	s := &site{
		t: t, authority: base64.StdEncoding.EncodeToString(sum[:]), listen: free(t),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}},
	}
	leafDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	must(t, err)
	s.certificate = certificate
	s.root = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}))
	s.certificates = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + s.root
	s.key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: leafDER}))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.listen})
	s.server = s.serve(certificate, proxy)
	s.party = s.serve(certificate, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Shop</title><main data-prompt="BACK"><h1>Shop</h1></main></html>`)
	}))
	return s
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// serve serves with TLS and returns the origin.
func (s *site) serve(certificate tls.Certificate, h http.Handler) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	must(s.t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }()
	s.t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "https://localhost:" + port
}

const verifier = "a-verifier-that-is-long-enough-to-be-one-of-RFC-7636"

// asks is the authorization request of the relying party for a token of this audience.
func (s *site) asks(audience string, more ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {"shop"}, "redirect_uri": {s.party + "/back"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "resource": {audience},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return s.server + "/oauth2/authorize?" + q.Encode()
}

// said is what an ID token says.
type said struct {
	ACR   string   `json:"acr"`
	AMR   []string `json:"amr"`
	Nonce string   `json:"nonce"`
	Error string   `json:"-"`
}

// trade trades the code with which the browser came back.
func (s *site) trade(back string) said {
	s.t.Helper()
	u, err := url.Parse(back)
	must(s.t, err)
	q := u.Query()
	if q.Get("error") != "" || q.Get("state") != "s" || q.Get("iss") != s.server {
		return said{Error: q.Get("error") + " " + q.Get("error_description")}
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {s.party + "/back"},
		"client_id": {"shop"}, "code_verifier": {verifier},
	}
	r, err := s.client.PostForm(s.server+"/oauth2/token", form)
	must(s.t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(s.t, err)
	var out struct {
		IDToken string `json:"id_token"`
	}
	must(s.t, json.Unmarshal(text, &out))
	parts := strings.Split(out.IDToken, ".")
	if len(parts) != 3 {
		return said{Error: fmt.Sprintf("%d %s", r.StatusCode, text)}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(s.t, err)
	var claims said
	must(s.t, json.NewDecoder(bytes.NewReader(payload)).Decode(&claims))
	return claims
}
