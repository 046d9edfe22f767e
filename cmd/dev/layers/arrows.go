package layers

import (
	"slices"
	"strconv"
	"strings"
)

// An Arrow says which of our packages the packages of one pattern may import.
//
// Patterns are folders below the root. A star stands for one path element, a
// closing "/..." for the folder itself and everything below it. The first row
// whose pattern fits a package is its row.
type Arrow struct {
	Package string
	Imports []string
}

// Arrows is the whole list. What is not in it is forbidden. Rows are ordered
// from the particular to the general.
//
//	assurance <- flowdefs <- flows <- { steps/<type>, propagation, prove, scenario, audit, stores, adapters } <- steps, cmd
//	account <- steps/<type>, stores, scenario, adapters    oidcclient <- the steps that need it
//	propagation <- provider, gateway                       rp <- gateway, adminapi, cmd
func Arrows() []Arrow { //nolint:funlen // one table
	const (
		assurance  = "flows/assurance"
		account    = "flows/account"
		dpop       = "flows/dpop"
		client     = "oidcclient"
		defs       = "flowdefs"
		flows      = "flows"
		issuing    = "propagation"
		rp         = "propagation/rp"
		deviceJWS  = "steps/devicejws"
		deviceKey  = "steps/devicekey"
		webAuthn   = "steps/webauthn"
		androidKey = "steps/androidkey"
		appAttest  = "steps/appattest"
		sentCode   = "steps/sentcode"
		oneTime    = "steps/onetime"
	)
	machine := []string{assurance, defs, flows}
	with := func(more ...string) []string { return append(slices.Clone(machine), more...) }
	return []Arrow{
		// Leaves.
		{assurance, nil},
		{account, nil},
		{dpop, nil},
		{"flows/seal", nil},
		{client, nil},
		{"oidcclient/oidctest/...", nil},
		{"flowdefs/examples", nil},
		// The spine.
		{defs, []string{assurance}},
		{flows, []string{assurance, defs}},
		// Beside the machine.
		{"flows/prove", machine},
		{"flows/audit", machine},
		{"flows/delivery", with(account)},
		{"flows/scenario", with(account)},
		{"flows/store/storetest", with(account)},
		{"flows/store/servertest", nil},
		{"flows/store/atrest", machine}, // what the stores that speak SQL share
		{"flows/store/*", with(account, "flows/store/atrest")},
		// Adapters.
		{"flows/httpapi", with(account, dpop)},
		{"flows/adminapi", with(account, dpop, rp)},
		{"flows/webui", with(account, dpop)},
		{"propagation/provider", with(account, dpop, issuing)},
		{"propagation/gateway", with(account, dpop, issuing, rp)},
		{rp, []string{dpop}},
		{issuing, machine},
		// Steps.
		{"steps/steptest", with(account, client)},
		{deviceJWS, machine},                                         // what the two device steps share; not a step
		{deviceKey, with(account, deviceJWS, androidKey, appAttest)}, // what the steps about keys of a phone share; not a step
		{"steps/deviceenrolment", with(account, deviceKey)},
		{"steps/devicebiometric", with(account, deviceKey)},
		{"steps/authenticatorremoval", with(account)},
		{"steps/pinenrolment", with(account)},
		{"steps/devicepin", with(account, deviceKey)},
		{"steps/transactionapproval", with(account, deviceKey)},
		{"steps/devicepinenrolment", with(account, deviceKey)},
		{"steps/webauthntest", nil},
		{"steps/androidkeytest", nil},
		{"steps/appattesttest", nil},
		{androidKey, nil}, // what phones with Android say of their keys; not a step
		{appAttest, nil},  // what iPhones say of the apps on them; not a step
		{webAuthn, nil},   // what the two passkey steps share; not a step
		{"steps/passkey", with(account, webAuthn)},
		{"steps/passkeyenrolment", with(account, webAuthn)},
		{sentCode, with(account)}, // what the steps that send codes share; not a step
		{"steps/emailcode", with(account, sentCode)},
		{"steps/smscode", with(account, sentCode)},
		{"steps/magiclink", with(account, sentCode)},
		{oneTime, with(account)}, // what the steps of one-time codes share; not a step
		{"steps/totp", with(account, oneTime)},
		{"steps/totpenrolment", with(account, oneTime)},
		{"steps/hotp", with(account, oneTime)},
		{"steps/hotpenrolment", with(account, oneTime)},
		{"steps/externaltoken", with(account, client, "steps/sso")},    // another way to the same accounts
		{"steps/directorylookup", with(account, "steps/ldappassword")}, // the same directories
		{"steps/*", with(account, client)},
		{"steps", with(account, client, "steps/*")},
		// Commands. They may use everything but one another, harnesses too. The
		// demo's app and bank are strangers: whoever reads them sees what an
		// outsider would have to write.
		{"cmd/stile/demo/app/...", []string{"cmd/stile/demo/app/..."}},
		{"cmd/stile/demo/bank/...", []string{"cmd/stile/demo/bank/..."}},
		{"cmd/stile/...", append(library(), "cmd/stile/...")},
		// The measuring stick measures the server as serve wires it.
		{"cmd/dev/bench", append(library(), "cmd/stile/config", "cmd/stile/node", "cmd/stile/users")},
		{"cmd/dev/...", append(library(), "cmd/dev/...")},
		{"cmd/...", library()},
	}
}

func library() []string {
	return []string{"flows/...", "steps/...", "oidcclient/...", "propagation/...", "flowdefs/..."}
}

// harnesses may be imported by tests and by cmd alone, whatever a row says:
// "flows/store/*" in a row must not open the door to storetest.
func harnesses() []string {
	return []string{"steps/steptest", "steps/webauthntest", "steps/androidkeytest", "steps/appattesttest", "flows/store/storetest", "flows/store/servertest", "oidcclient/oidctest/..."}
}

// ginPackages are the only places that know the web framework.
func ginPackages() []string {
	return []string{
		"flows/httpapi", "flows/adminapi", "flows/webui",
		"propagation/provider", "propagation/gateway", "propagation/rp",
		"oidcclient/oidctest", "cmd/...",
	}
}

// thirdParty lists the packages that may use only the named third parties;
// all others choose their own.
func thirdParty() map[string][]string {
	return map[string][]string{"flows": {"go.uber.org/zap/..."}}
}

func checkImports(module string, f file) []Problem {
	if f.test {
		return nil
	}
	row := rowOf(f.dir)
	if row == nil {
		return []Problem{f.problem(f.ast.Package, "unknown-package", "package folder %s has no row in the list of arrows", f.dir)}
	}
	var problems []Problem
	for _, spec := range f.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused it already
		}
		if own, ok := ownFolder(module, path); ok {
			if !allowed(f.dir, own, row.Imports) {
				problems = append(problems, f.problem(spec.Pos(), "arrow", "%s must not import %s", f.dir, own))
			}
			continue
		}
		if text := foreign(f.dir, path); text != "" {
			problems = append(problems, f.problem(spec.Pos(), "third-party", "%s", text))
		}
	}
	return problems
}

func allowed(from, to string, imports []string) bool {
	if matchAny(harnesses(), to) && !match("cmd/...", from) {
		return false
	}
	return matchAny(imports, to)
}

// foreign says what is wrong with importing a package that is not ours, or "".
func foreign(from, path string) string {
	gin := strings.HasPrefix(path, "github.com/gin-gonic/") || strings.HasPrefix(path, "github.com/gin-contrib/")
	if gin && !matchAny(ginPackages(), from) {
		return from + " must not import " + path + ": gin belongs to the adapters"
	}
	only, narrowed := thirdParty()[from]
	if narrowed && !standard(path) && !matchAny(only, path) {
		return from + " must not import the third party " + path
	}
	return ""
}

// standard reports whether an import path is the standard library's: its
// first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func ownFolder(module, path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

func rowOf(dir string) *Arrow {
	for _, row := range Arrows() {
		if match(row.Package, dir) {
			return &row
		}
	}
	return nil
}

func matchAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, dir) })
}

func match(pattern, dir string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(dir, "/")
	for i, w := range want {
		switch {
		case w == "...":
			return true
		case i >= len(have), w != "*" && w != have[i]:
			return false
		}
	}
	return len(have) == len(want)
}
