// Package steps lists the step types that Stile comes with.
//
// To add one, write a package beside the others and add a line to [Builtin].
package steps

import (
	"context"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/activationcode"
	"github.com/stile-auth/stile/steps/authenticatorremoval"
	"github.com/stile-auth/stile/steps/consent"
	"github.com/stile-auth/stile/steps/devicebiometric"
	"github.com/stile-auth/stile/steps/deviceenrolment"
	"github.com/stile-auth/stile/steps/devicekey"
	"github.com/stile-auth/stile/steps/devicepin"
	"github.com/stile-auth/stile/steps/devicepinenrolment"
	"github.com/stile-auth/stile/steps/directorylookup"
	"github.com/stile-auth/stile/steps/emailcode"
	"github.com/stile-auth/stile/steps/externaltoken"
	"github.com/stile-auth/stile/steps/hotp"
	"github.com/stile-auth/stile/steps/hotpenrolment"
	"github.com/stile-auth/stile/steps/httpcall"
	"github.com/stile-auth/stile/steps/identify"
	"github.com/stile-auth/stile/steps/ldappassword"
	"github.com/stile-auth/stile/steps/magiclink"
	"github.com/stile-auth/stile/steps/message"
	"github.com/stile-auth/stile/steps/onetime"
	"github.com/stile-auth/stile/steps/passkey"
	"github.com/stile-auth/stile/steps/passkeyenrolment"
	"github.com/stile-auth/stile/steps/password"
	"github.com/stile-auth/stile/steps/passwordchange"
	"github.com/stile-auth/stile/steps/pin"
	"github.com/stile-auth/stile/steps/pinenrolment"
	"github.com/stile-auth/stile/steps/recoverycode"
	"github.com/stile-auth/stile/steps/recoverycodesetup"
	"github.com/stile-auth/stile/steps/requiredrole"
	"github.com/stile-auth/stile/steps/smscode"
	"github.com/stile-auth/stile/steps/sso"
	"github.com/stile-auth/stile/steps/terms"
	"github.com/stile-auth/stile/steps/totp"
	"github.com/stile-auth/stile/steps/totpenrolment"
	"github.com/stile-auth/stile/steps/transactionapproval"
	"github.com/stile-auth/stile/steps/webauthn"
)

// Deps is everything that the step types need. All fields are required, except
// that a set of definitions without the steps "sso" and "ldap_password" needs neither providers, directories nor
// links, one without "required_role", "totp_enrolment", "hotp_enrolment" and "password_change" no accounts,
// and one without "consent" and "terms" no agreements. The zero value of Calls is safe.
type Deps struct {
	Authenticators Authenticators
	Hasher         *account.Hasher       // of passwords and PINs
	Passwords      account.PasswordRules // of passwords that are set
	Seeds          account.Sealer        // seals the seeds of one-time codes
	Codes          []byte                // 32 bytes that key the hashes of codes that are sent, or told to be kept
	Issuer         string                // Stile's issuer URL: the audience of what devices sign
	Devices        devicekey.Attestation // verifies what phones say of their keys; zero: none can say anything
	Passkeys       webauthn.Party        // who passkeys are made for; zero: [webauthn.Default] of Issuer
	Providers      sso.Providers         // remote providers by name; see [sso.NewProvider]
	Links          sso.Accounts          // accounts by their identities at providers
	Accounts       requiredrole.Accounts
	Agreements     consent.Agreements       // what people have agreed to
	Directories    ldappassword.Directories // LDAP directories by name
	Entries        ldappassword.Accounts    // accounts by their entries in them
	Calls          httpcall.Config          // where calls of web services may go
}

// Authenticators keeps the authenticators of accounts; the stores' repositories
// of accounts do. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Builtin returns every step type.
func Builtin(d Deps) []flows.StepType {
	if d.Passkeys.ID == "" {
		d.Passkeys = webauthn.Default(d.Issuer)
	}
	enrols := onetime.Config{Accounts: d.Accounts, Authenticators: d.Authenticators, Sealer: d.Seeds, Issuer: d.Issuer}
	return []flows.StepType{
		identify.Type(),
		sso.Type(d.Providers, d.Links),
		sso.LinkType(d.Providers, d.Links),
		externaltoken.Type(d.Providers, d.Links),
		password.Type(d.Authenticators, d.Hasher),
		pinenrolment.Type(d.Authenticators, d.Accounts, d.Hasher),
		passwordchange.Type(passwordchange.Config{Accounts: d.Accounts, Authenticators: d.Authenticators, Hasher: d.Hasher, Rules: d.Passwords}),
		ldappassword.Type(ldappassword.Config{Directories: d.Directories, Accounts: d.Entries, Authenticators: d.Authenticators}),
		pin.Type(d.Authenticators, d.Hasher),
		totp.Type(d.Authenticators, d.Seeds),
		totpenrolment.Type(enrols),
		activationcode.Type(d.Authenticators, d.Codes),
		hotp.Type(d.Authenticators, d.Seeds),
		hotpenrolment.Type(enrols),
		emailcode.Type(d.Authenticators, d.Codes),
		magiclink.Type(d.Authenticators, d.Codes),
		smscode.Type(d.Authenticators, d.Codes),
		recoverycode.Type(d.Authenticators, d.Codes),
		recoverycodesetup.Type(d.Authenticators, d.Codes),
		deviceenrolment.Type(d.Authenticators, d.Issuer, d.Devices),
		devicebiometric.Type(d.Authenticators, d.Issuer, d.Devices),
		devicepinenrolment.Type(d.Authenticators, d.Issuer, d.Devices),
		devicepin.Type(d.Authenticators, d.Issuer, d.Devices),
		transactionapproval.Type(d.Authenticators, d.Issuer),
		passkeyenrolment.Type(d.Authenticators, d.Accounts, d.Passkeys),
		passkey.Type(d.Authenticators, d.Passkeys),
		authenticatorremoval.Type(d.Authenticators),
		consent.Type(d.Agreements),
		terms.Type(d.Agreements),
		message.Type(),
		requiredrole.Type(d.Accounts),
		directorylookup.Type(d.Directories, d.Accounts),
		httpcall.Type(d.Calls),
	}
}
