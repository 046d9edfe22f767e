package webauthn

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Paths below the relying party's origin where operating systems look for the
// apps that may use its passkeys.
const (
	PathAndroidApps = "/.well-known/assetlinks.json"            // Google Digital Asset Links
	PathAppleApps   = "/.well-known/apple-app-site-association" // Apple associated domains
)

// AndroidApp is an app and who signed it.
type AndroidApp struct {
	Package     string
	Certificate []byte // SHA-256 of the signing certificate
}

var (
	androidPackage = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)
	appleApp       = regexp.MustCompile(`^[A-Z0-9]{10}\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
)

// ParseAndroidApp reads PACKAGE/SHA256, the fingerprint as Google's tools show
// it: 32 bytes in hexadecimal with colons between them.
func ParseAndroidApp(text string) (AndroidApp, error) {
	name, shown, _ := strings.Cut(text, "/")
	sum, err := hex.DecodeString(strings.ReplaceAll(shown, ":", ""))
	app := AndroidApp{name, sum}
	if err != nil || len(sum) != 32 || app.fingerprint() != strings.ToUpper(shown) || !androidPackage.MatchString(name) {
		return AndroidApp{}, fmt.Errorf("%w: Android app %q is not PACKAGE/SHA256, such as com.bank.app/14:6D:...:C5", ErrParty, text)
	}
	return app, nil
}

// Origin is what the app calls itself when it uses a passkey.
func (a AndroidApp) Origin() string {
	return androidOrigin + base64.RawURLEncoding.EncodeToString(a.Certificate)
}

func (a AndroidApp) fingerprint() string {
	var pairs []string
	for _, b := range a.Certificate {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return strings.Join(pairs, ":")
}

// CheckAppleApp returns nil for TEAMID.BUNDLE, else [ErrParty].
func CheckAppleApp(text string) error {
	if !appleApp.MatchString(text) {
		return fmt.Errorf("%w: Apple app %q is not TEAMID.BUNDLE, such as ABCDE12345.com.bank.app", ErrParty, text)
	}
	return nil
}

// Apps are apps of both kinds; those for iOS as TEAMID.BUNDLE.
type Apps struct {
	Android []AndroidApp
	Apple   []string
}

// AppDocuments are what to publish about the apps that may use the passkeys of
// this party, and about those that open web addresses below a path themselves
// (app links, universal links), as values to be written as JSON, by path. Without
// apps of a kind there is no document for it.
func AppDocuments(passkeys, links Apps, below string) map[string]any {
	out := map[string]any{}
	statements := append(assetLinks("delegate_permission/common.get_login_creds", passkeys.Android),
		assetLinks("delegate_permission/common.handle_all_urls", links.Android)...)
	if len(statements) > 0 {
		out[PathAndroidApps] = statements
	}
	apple := map[string]any{}
	if len(passkeys.Apple) > 0 {
		apple["webcredentials"] = map[string]any{"apps": passkeys.Apple}
	}
	if len(links.Apple) > 0 {
		apple["applinks"] = appLinks{[]appLink{{links.Apple, []appPath{{below + "/*"}}}}}
	}
	if len(apple) > 0 {
		out[PathAppleApps] = apple
	}
	return out
}

type appLinks struct {
	Details []appLink `json:"details"`
}

type appLink struct {
	Apps       []string  `json:"appIDs"`
	Components []appPath `json:"components"`
}

type appPath struct {
	Path string `json:"/"`
}

type assetLink struct {
	Relation []string    `json:"relation"`
	Target   assetTarget `json:"target"`
}

type assetTarget struct {
	Namespace    string   `json:"namespace"`
	Package      string   `json:"package_name"`
	Certificates []string `json:"sha256_cert_fingerprints"`
}

// assetLinks lists each package once, with all its certificates: an app whose key was rotated has two.
func assetLinks(relation string, apps []AndroidApp) []assetLink {
	var out []assetLink
	for _, a := range apps {
		i := slices.IndexFunc(out, func(l assetLink) bool { return l.Target.Package == a.Package })
		if i < 0 {
			i = len(out)
			out = append(out, assetLink{
				Relation: []string{relation},
				Target:   assetTarget{Namespace: "android_app", Package: a.Package},
			})
		}
		out[i].Target.Certificates = append(out[i].Target.Certificates, a.fingerprint())
	}
	return out
}
