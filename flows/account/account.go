// Package account holds what lasts about people: accounts, their authenticators,
// and their links to identities at remote providers.
//
// It is a leaf. Drivers in flows/store keep it; steps use it through interfaces of their own.
package account

import (
	"errors"
	"time"
)

// Errors that repositories return.
var (
	ErrNotFound = errors.New("account: not found")
	ErrExists   = errors.New("account: exists already")
)

// Status says whether an account or authenticator may be used. Anything but Active may not.
type Status string

// The states.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
	Pending  Status = "pending" // of an authenticator whose binding is not complete
)

// Account is a person's account.
type Account struct {
	Subject    string // random, never reused; "sub" of tokens
	Status     Status
	Logins     []string // canonical login identifiers, unique over all accounts; see Canonical
	Attributes map[string]string
	Created    time.Time
}

// The types of authenticators.
const (
	TypePassword   = "password"
	TypePIN        = "pin"
	TypeTOTP       = "totp"
	TypeHOTP       = "hotp"
	TypeDevice     = "device"     // a key that a phone opens by biometrics
	TypeDevicePIN  = "device_pin" // a key that a phone opens by a PIN
	TypeEmail      = "email"
	TypeRecovery   = "recovery"
	TypePhone      = "phone"
	TypeActivation = "activation"
	TypeLDAP       = "ldap_password"
	TypeIdentity   = "identity" // an identity at a remote provider
)

// Authenticator is a bound authenticator of an account.
type Authenticator struct {
	ID       string // unique over all accounts
	Subject  string
	Type     string
	Name     string // what its owner calls it
	Status   Status
	Binding  string // name of the level at which it was bound ("aal2"); caps it for ever
	Key      string // thumbprint of the DPoP key of the device that it belongs to, "" if none
	Data     []byte // JSON of the type's own data; secrets inside are hashed or sealed
	Created  time.Time
	LastUsed time.Time // zero: never
}

// Link ties an identity at a remote provider to an account. (Issuer, External) is unique.
type Link struct {
	Issuer   string
	External string // the provider's "sub"
	Subject  string
	Created  time.Time
}
