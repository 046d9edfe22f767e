package webauthn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/metadata"
)

// Party is the relying party: who credentials are made for and where they may be used.
type Party struct {
	ID      string   // a domain; credentials are bound to it for ever
	Name    string   // what authenticators show
	Origins []string // web origins ("https://app.bank.example") and Android apps ("android:apk-key-hash:...")

	// Metadata says which authenticators there are and who vouches for them; nil:
	// nothing is known, and no attestation is trusted. See [ReadMetadata].
	Metadata metadata.Provider
}

// ErrParty reports a relying party that no authenticator would work with.
var ErrParty = errors.New("webauthn: not a relying party")

// isDomain reports a DNS name (RFC 1123 §2.1) in lower case. Addresses are none:
// their last label begins with a digit.
func isDomain(name string) bool {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return labels[len(labels)-1][0] > '9'
}

const androidOrigin = "android:apk-key-hash:"

// Default returns the relying party of a server that is reached by that origin.
// On a loopback address it is "localhost", as addresses cannot be relying parties.
func Default(origin string) Party {
	u, err := url.Parse(origin)
	if err != nil {
		return Party{}
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		u.Host = strings.TrimSuffix("localhost:"+u.Port(), ":")
	}
	return Party{ID: u.Hostname(), Name: u.Hostname(), Origins: []string{u.Scheme + "://" + u.Host}}
}

// Check returns nil if authenticators can work with the party, or [ErrParty]:
// the id is a domain, and every web origin is https and at that domain or below
// (Web Authentication §5.1.3 step 8).
func (p Party) Check() error {
	if !isDomain(p.ID) {
		return fmt.Errorf("%w: the id %q is not a domain", ErrParty, p.ID)
	}
	if p.Name == "" || len(p.Origins) == 0 {
		return fmt.Errorf("%w: %s has no name or no origin", ErrParty, p.ID)
	}
	for _, origin := range p.Origins {
		if err := p.checkOrigin(origin); err != nil {
			return fmt.Errorf("%w: origin %q %w", ErrParty, origin, err)
		}
	}
	return nil
}

func (p Party) checkOrigin(origin string) error {
	if hash, ok := strings.CutPrefix(origin, androidOrigin); ok {
		sum, err := base64.RawURLEncoding.Strict().DecodeString(hash)
		if err != nil || len(sum) != 32 {
			return errors.New("does not end in a SHA-256 hash in base64url")
		}
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+strings.ToLower(u.Host) != origin {
		return errors.New("is no origin")
	}
	host := u.Hostname()
	if u.Scheme != "https" && (u.Scheme != "http" || host != "localhost") {
		return errors.New("is not https")
	}
	if host != p.ID && !strings.HasSuffix(host, "."+p.ID) {
		return fmt.Errorf("is not at %s", p.ID)
	}
	return nil
}

// accepts compares byte for byte: what is nearly our origin is somebody else's.
func (p Party) accepts(origin string) bool { return slices.Contains(p.Origins, origin) }
