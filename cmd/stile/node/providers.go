package node

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/steps/sso"
)

// provider makes one remote provider of its definition and of what the
// configuration says of it.
func (n *Node) provider(l *loaded, d flowdefs.Provider, with config.Provider) (sso.Provider, error) {
	if with.Issuer != "" {
		d.Issuer = with.Issuer
	}
	access := sso.Access{Network: networkOf(with.Network), Transport: n.opts.ProviderTransport, Now: n.opts.Now}
	k := keeper{}
	access.Secret = k.read(&d.Credentials.Secret, with.ClientSecret)
	key, certificate := k.read(&d.Credentials.Key, with.ClientKey), k.read(&d.Credentials.Certificate, with.ClientCertificate)
	if k.err != nil {
		return sso.Provider{}, k.err
	}
	if len(k.missing) > 0 {
		l.missing = append(l.missing, d.Name)
	}
	for _, where := range k.missing {
		n.opts.Logger.Warn("provider has no client secret; steps that use it answer 503",
			zap.String("provider", d.Name), zap.Stringer("where", where))
	}
	var err error
	if key != "" {
		if access.Key, err = parseKey(key); err != nil {
			return sso.Provider{}, fmt.Errorf("client_key: %w", err)
		}
	}
	if key != "" && certificate != "" {
		if access.Certificate, err = keyPair(certificate, key); err != nil {
			return sso.Provider{}, fmt.Errorf("client_certificate: %w", err)
		}
	}
	if with.CA != "" {
		if access.RootCAs, err = readPool(with.CA); err != nil {
			return sso.Provider{}, err
		}
	}
	return sso.NewProvider(&d, access)
}

// networkOf is where a provider may be. The configuration was checked.
func networkOf(word string) oidcclient.Network {
	return map[string]oidcclient.Network{"private": oidcclient.Private, "loopback": oidcclient.Loopback}[word]
}

// keeper reads what is kept elsewhere.
type keeper struct {
	missing []config.Secret
	err     error
}

// read reads a secret where the configuration says, else where the definition does. A
// definition that is overruled needs it, also if it named none. "" is one that is not set.
func (k *keeper) read(defined **flowdefs.SecretRef, where config.Secret) string {
	if where.IsZero() && *defined != nil {
		where = config.Secret{Env: (*defined).Env, File: (*defined).File}
	}
	if where.IsZero() {
		return ""
	}
	*defined = &flowdefs.SecretRef{Env: where.Env, File: where.File}
	text, err := where.Read()
	switch {
	case errors.Is(err, config.ErrUnset):
		k.missing = append(k.missing, where)
	case err != nil:
		k.err = errors.Join(k.err, err)
	}
	return text
}

// parseKey reads a private key in PEM: PKCS #8, SEC 1 or PKCS #1.
func parseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("expected a private key in PEM")
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
	} {
		if key, err := parse(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
	}
	return nil, errors.New("the private key cannot be read")
}

// keyPair reads a certificate, with what leads to its root, and its key.
func keyPair(certificate, key string) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, errors.New("certificate and key cannot be read, or do not belong together")
	}
	return &pair, nil
}

// readPool reads certificates that others are held against.
func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
