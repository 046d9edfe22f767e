// Package setup gets a machine ready for the tests: programs from the
// distribution, and packages from npm.
//
// What the tests need is the table [Programs]. Another program is another row.
// Only what is missing is installed, only with apt-get, and only as root or
// where sudo asks no password; otherwise the error says what to install.
package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Program is something that the tests need and that Go does not bring.
type Program struct {
	// Name and Why are shown to people: "gcc", "for go test -race".
	Name, Why string
	// Binaries must all be in PATH.
	Binaries []string
	// Probe, if set, is a command that must succeed, with Input as its standard
	// input. It finds what is half installed.
	Probe []string
	Input string
	// Apt names the distribution packages that bring it (Debian, Ubuntu).
	Apt []string
	// OnlyWith, if set, is a path below the root of the repository; the program
	// is needed only where that path exists.
	OnlyWith string
}

// BrowserFolder is the module of the tests that drive a real browser.
const BrowserFolder = "cmd/dev/e2e"

// Programs is what the tests need.
func Programs() []Program {
	return []Program{
		{
			Name: "gcc", Why: "for go test -race", Binaries: []string{"gcc"}, Apt: []string{"gcc", "libc6-dev"},
			Probe: []string{"gcc", "-xc", "-fsyntax-only", "-"}, Input: "#include <stdlib.h>\n",
		},
		{
			Name: "slapd", Why: "for the tests of LDAP directories", Binaries: []string{"slapd"}, Apt: []string{"slapd"},
		},
		{
			Name: "PostgreSQL", Why: "for the store of that name", OnlyWith: "flows/store/postgres", // Debian has the server outside of PATH
			Probe: []string{"sh", "-c", "command -v postgres || ls /usr/lib/postgresql/*/bin/postgres"}, Apt: []string{"postgresql"},
		},
		{
			Name: "PgBouncer", Why: "likewise, behind it", OnlyWith: "flows/store/postgres", Apt: []string{"pgbouncer"},
			Probe: []string{"sh", "-c", "PATH=$PATH:/usr/sbin command -v pgbouncer"},
		},
		{
			Name: "Redis", Why: "for the store of that name", OnlyWith: "flows/store/redis", Binaries: []string{"redis-server"}, Apt: []string{"redis-server"},
		},
		{
			Name: "nginx", Why: "for the gateway behind it", Binaries: []string{"nginx"}, Apt: []string{"nginx-light"}, OnlyWith: "propagation/gateway",
		},
		{
			Name: "Caddy", Why: "likewise", Binaries: []string{"caddy"}, Apt: []string{"caddy"}, OnlyWith: "propagation/gateway",
		},
		{
			Name: "LemonLDAP::NG", Why: "for the sign-on at a second provider", Binaries: []string{"perl", "plackup"}, OnlyWith: "oidcclient",
			// It loads all of these, pictures for a CAPTCHA that it never shows among them.
			Probe: []string{"perl", "-MLemonldap::NG::Portal::Issuer::OpenIDConnect", "-MLemonldap::NG::Portal::Captcha::SecurityImage", "-e1"},
			Apt:   []string{"liblemonldap-ng-portal-perl", "libplack-perl", "libio-string-perl", "libstring-random-perl", "libgd-securityimage-perl", "perlmagick"},
		},
		{
			Name: "mod_auth_openidc", Why: "for the sign-on of Apache at Stile", Binaries: []string{"apache2"}, OnlyWith: PartiesFolder,
			Probe: []string{"test", "-f", "/usr/lib/apache2/modules/mod_auth_openidc.so"},
			Apt:   []string{"apache2-bin", "libapache2-mod-auth-openidc"},
		},
		{
			Name: "node", Why: "for the OpenID provider of " + ProviderFolder, Binaries: []string{"node"}, Apt: []string{"nodejs"},
			OnlyWith: ProviderFolder,
		},
		{
			Name: "chromium", Why: "for the passkeys of a real browser", Binaries: []string{"chromium"}, Apt: []string{"chromium"},
			OnlyWith: BrowserFolder,
		},
		{
			Name: "npm", Why: "for the OpenID provider of " + ProviderFolder, Binaries: []string{"npm"}, Apt: []string{"npm"},
			OnlyWith: ProviderFolder,
		},
	}
}

// Install makes the programs available. It reports what it does to log, and
// returns an error that tells people what to install if it cannot.
func Install(ctx context.Context, root string, programs []Program, log io.Writer) error {
	gone := Missing(ctx, root, programs)
	if len(gone) == 0 {
		return nil
	}
	apt, err := aptGet(ctx)
	if err != nil {
		return fmt.Errorf("missing: %s; %w; install it by hand, on Debian and Ubuntu with: apt-get install %s", describe(gone), err, aptNames(gone))
	}
	fmt.Fprintf(log, "setup: installing %s\n", describe(gone))
	if err := quietly(ctx, "", append(apt, "update")); err != nil {
		return err
	}
	for _, p := range gone {
		// One after the other, since one may bring the next: some packages of
		// nodejs contain npm, and conflict with a package of that name.
		if p.works(ctx) {
			continue
		}
		if err := quietly(ctx, "", append(append(apt, "install", "-y", "--no-install-recommends"), p.Apt...)); err != nil {
			return fmt.Errorf("installing %s: %w", p.Name, err)
		}
		if !p.works(ctx) {
			return fmt.Errorf("%s is missing after apt-get install %s", p.Name, strings.Join(p.Apt, " "))
		}
	}
	return nil
}

func describe(programs []Program) string {
	var texts []string
	for _, p := range programs {
		texts = append(texts, fmt.Sprintf("%s (%s)", p.Name, p.Why))
	}
	return strings.Join(texts, ", ")
}

func aptNames(programs []Program) string {
	var names []string
	for _, p := range programs {
		names = append(names, p.Apt...)
	}
	return strings.Join(names, " ")
}

// Missing returns the programs that are needed and not there.
func Missing(ctx context.Context, root string, programs []Program) []Program {
	var gone []Program
	for _, p := range programs {
		if p.OnlyWith != "" {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(p.OnlyWith))); err != nil {
				continue
			}
		}
		if !p.works(ctx) {
			gone = append(gone, p)
		}
	}
	return gone
}

func (p Program) works(ctx context.Context) bool {
	for _, name := range p.Binaries {
		if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	if len(p.Probe) == 0 {
		return true
	}
	cmd := exec.CommandContext(ctx, p.Probe[0], p.Probe[1:]...)
	cmd.Stdin = strings.NewReader(p.Input)
	return cmd.Run() == nil
}

// aptGet returns the beginning of a command line that may install packages.
func aptGet(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, errors.New("there is no apt-get on this machine")
	}
	// At run level 1 packages of servers do not start them.
	command := []string{"env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-q"}
	if os.Geteuid() == 0 {
		return slices.Clip(command), nil
	}
	if exec.CommandContext(ctx, "sudo", "-n", "true").Run() == nil {
		return slices.Clip(append([]string{"sudo", "-n"}, command...)), nil
	}
	return nil, errors.New("installing needs root or a sudo that asks no password")
}

// quietly runs a command and shows its output only in the error.
func quietly(ctx context.Context, dir string, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return nil
}
