package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("stile.yaml", []byte("# nothing\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Listen: "127.0.0.1:8080", DataDir: "stile-data",
		Store: config.Store{
			Type: "sqlite", Path: "stile-data/stile.db", Durability: "full", Connections: 16, Timeout: 5 * time.Second, Migrate: "auto",
			Runs: config.RunStore{Type: "same", Mode: "single", TLS: true, Prefix: "stile:", Timeout: 2 * time.Second},
		},
		Keys:   config.Keys{Algorithm: "ES256", Rotate: 90 * 24 * time.Hour},
		Tokens: config.Tokens{TTL: 5 * time.Minute, MaxTTL: time.Hour},
		Runs:   config.Runs{TTL: 10 * time.Minute, SessionTTL: 12 * time.Hour},
		Limits: config.Limits{PerSecond: 100, Burst: 1000, WrongPerNetwork: 300, WrongPerDevice: 100, Window: time.Hour}, Devices: config.Devices{RevocationAge: 7 * 24 * time.Hour},
		Delivery: config.Delivery{
			By: "none", SMTP: config.SMTP{TLS: "starttls"}, File: "stile-data/messages.txt", PerAccount: 5, PerDestination: 5, PerDevice: 20, Window: time.Hour,
		},
		Hashing:        config.Hashing{Memory: 19456, Time: 2, Threads: 1, Total: 262144},
		Log:            config.Log{Level: "info", Format: "json"},
		Audit:          config.Audit{To: "store", Path: "stile-data/audit.jsonl"},
		Shutdown:       config.Shutdown{Timeout: 15 * time.Second},
		RelyingParties: config.RelyingParties{Network: "public"},
		Gateway:        config.Gateway{Remember: 4096},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("/etc/stile/stile.yaml", []byte(`
listen: 0.0.0.0:8443
base_url: https://id.bank.example
definitions: flows
store: { type: sqlite, path: /var/lib/stile.db, durability: normal }
keys: { master: { env: STILE_MASTER_KEY }, signing: keys.pem }
tokens: { ttl: 1m, max_ttl: 10m }
hashing: { memory: 47104, time: 1 }
audit: { to: file }
providers:
  corporate: { issuer: "https://login.bank.example", client_secret: { file: corporate.secret } }
`))
	if err != nil {
		t.Fatal(err)
	}
	type part struct{ Definitions, Data, Store, Signing, Audit, Secret, Issuer, MasterEnv string }
	want := part{
		"/etc/stile/flows", "/etc/stile/stile-data", "/var/lib/stile.db", "/etc/stile/keys.pem",
		"/etc/stile/stile-data/audit.jsonl", "/etc/stile/corporate.secret", "https://login.bank.example", "STILE_MASTER_KEY",
	}
	p := got.Providers["corporate"]
	have := part{
		got.Definitions, got.DataDir, got.Store.Path, got.Keys.Signing, got.Audit.Path,
		p.ClientSecret.File, p.Issuer, got.Keys.Master.Env,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if got.Hashing.Memory != 47104 || got.Hashing.Threads != 1 || got.Tokens.MaxTTL != 10*time.Minute {
		t.Errorf("got %+v %+v", got.Hashing, got.Tokens)
	}
}

// Whatever is wrong is reported, all of it, each with its place.
func TestProblemsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("s.yaml", []byte(`listen: nowhere
listen: 127.0.0.1:1
base_url: http://id.bank.example
store:
  type: oracle
  type: sqlite
hashing: { memory: 7, time: many }
tokens: { ttl: 2h }
log: loud
keys: { master: { env: A, file: b } }
runs: { ttl: -5m }
audit: &a { to: store }
shutdown: ~
providers: { x: { secret: hunter2 } }
calls: { private_hosts: [risk.bank.example, Risk.bank.example, "10.0.0.1", "risk.bank.example:443", ~, [a], ""] }
calls.private_hosts: none
delivery: { by: pigeon, per_account: 0 }
`))
	var problems flowdefs.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	want := []string{
		`s.yaml:1:9: listen must be an address`,
		`s.yaml:2:1: listen stands here twice`,
		`s.yaml:3:11: base_url must be an origin`,
		`s.yaml:5:9: store.type must be one of sqlite, memory, postgres, not "oracle"`,
		`s.yaml:6:3: store.type stands here twice`,
		`s.yaml:7:20: hashing.memory must be a number from 8 to 131072, not "7"`,
		`s.yaml:7:29: hashing.time must be a number from 1 to 10, not "many"`,
		`s.yaml:8:9: tokens.ttl must be above 0 and at most tokens.max_ttl (1h0m0s)`,
		`s.yaml:9:6: log must be a mapping`,
		`s.yaml:10:17: keys.master names both a variable and a file`,
		`s.yaml:11:14: runs.ttl must be a length of time`,
		`s.yaml:12:8: audit: anchors, aliases and tags are not allowed`,
		`s.yaml:13:11: shutdown must be a mapping`,
		`s.yaml:14:19: unknown key "providers.x.secret"`,
		`s.yaml:15:45: calls.private_hosts must name a host`,
		`s.yaml:15:64: calls.private_hosts must name a host`,
		`s.yaml:15:76: calls.private_hosts must name a host`,
		`s.yaml:15:101: calls.private_hosts must be a single value`,
		`s.yaml:15:104: calls.private_hosts must be a single value`,
		`s.yaml:15:109: calls.private_hosts must name a host`,
		`s.yaml:16:1: unknown key "calls.private_hosts"`,
		`s.yaml:17:17: delivery.by must be one of none, smtp, webhook, file, console, not "pigeon"`,
		`s.yaml:17:38: delivery.per_account must be a number from 1 to 1000, not "0"`,
	}
	if len(problems) != len(want) {
		t.Errorf("got %d problems, want %d:\n%v", len(problems), len(want), problems)
	}
	for i := range min(len(want), len(problems)) {
		if !strings.HasPrefix(problems[i].Error(), want[i]) {
			t.Errorf("got  %s\nwant %s", problems[i].Error(), want[i])
		}
	}
}

// Development mode believes anything that calls itself a phone: it never runs where others can reach it.
func TestDevelopmentOfDevices(t *testing.T) {
	t.Parallel()
	for text, fine := range map[string]bool{
		"devices: { development: true }\n":                                                    true,
		"base_url: http://localhost:8080\ndevices: { development: true }\n":                   true,
		"base_url: https://127.0.0.1:8443\ndevices: { development: true }\n":                  true,
		"base_url: https://id.bank.example\ndevices: { development: false }\n":                true,
		"base_url: https://id.bank.example\ndevices: { development: true }\n":                 false,
		"base_url: https://localhost.bank.example\ndevices: { development: true }\n":          false,
		"base_url: https://10.0.0.1\ndevices: { development: true }\n":                        false,
		"listen: 0.0.0.0:80\nbase_url: https://id.bank.example\ndevices: {development: true}": false,
		"devices: { development: perhaps }\n":                                                 false,
		"devices: { revocations: status.json, revocation_max_age: 0s }\n":                     false,
		"devices: { revocations: status.json }\n":                                             true,
	} {
		if got, err := config.Parse("/etc/stile/stile.yaml", []byte(text)); (err == nil) != fine {
			t.Errorf("%s: %v", text, err)
		} else if f := got.Devices.Revocations; f != "" && f != "/etc/stile/status.json" {
			t.Errorf("the list is looked for at %s", f)
		}
	}
}

// Where things are kept is said in full, and passwords are not said at all.
func TestStores(t *testing.T) {
	t.Parallel()
	const redis = "type: postgres, url: \"postgres://a@b/c\", runs: { type: redis"
	for text, want := range map[string]string{
		"type: postgres":                                                                 "store.url has to be postgres://",
		"type: postgres, url: \"mysql://a@b/c\"":                                         "store.url has to be postgres://",
		"type: postgres, url: \"postgres://a:b@c/d\"":                                    "store.url holds a password",
		"type: postgres, url: \"postgres://a@c/d?password=b\"":                           "store.url holds a password",
		"url: \"postgres://a@b/c\"":                                                      "store.url is for store.type postgres",
		"type: postgres, url: \"postgres://a@b/c\", timeout: 0s":                         "must be above 0",
		"type: postgres, url: \"postgres://a@b/c\", pgbouncer: true, durability: normal": "store.durability",
		"runs: { type: redis, addresses: [\"127.0.0.1:1\"], tls: false }":                "store.runs is for store.type postgres",
		redis + " }": "store.runs.addresses is required",
		redis + ", addresses: [\"127.0.0.1:1\"], mode: sentinel }":             "store.runs.master is required",
		redis + ", addresses: [\"127.0.0.1:1\", \"c:1\"], tls: false }":        "store.runs.tls must be true",
		redis + ", addresses: [\"127.0.0.1:1\"], tls: false }":                 "",
		redis + ", addresses: [\"c:1\"], tls: false, insecure_network: true }": "",
		redis + ", addresses: [\"c:1\"], keeps: [runs, accounts] }":            "store.runs.keeps must be one of",
	} {
		_, err := config.Parse("s.yaml", []byte("keys: { master: { env: M } }\nstore: { "+text+" }\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := config.Parse("s.yaml", []byte("store: { type: postgres, url: \"postgres://a@b/c\" }\n")); err == nil || !strings.Contains(err.Error(), "keys.master is required") {
		t.Errorf("no master key: %v", err)
	}
}

// What carries messages is told all that it needs, and finds its files beside the configuration.
func TestDelivery(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"by: smtp":                             "delivery.smtp.address and delivery.smtp.from are required to send by smtp",
		"by: smtp, smtp: { address: \"a:1\" }": "delivery.smtp.address and delivery.smtp.from are required",
		"by: webhook, webhook: { url: \"https://a.example\" }": "delivery.webhook.url and delivery.webhook.secret are required",
		"window: 0s": "delivery.window must be above 0",
	} {
		_, err := config.Parse("s.yaml", []byte("delivery: { "+text+" }\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	cfg, err := config.Parse("/etc/stile/stile.yaml", []byte(
		"delivery: { by: smtp, texts: texts, smtp: { address: \"a:1\", from: a@b.example, username: u, password: { file: smtp.secret } } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cfg.Delivery; d.Texts != "/etc/stile/texts" || d.SMTP.Password.File != "/etc/stile/smtp.secret" || d.File != "/etc/stile/stile-data/messages.txt" {
		t.Errorf("%+v", d)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":           {"listen: [\n", "s.yaml:"},
		"second document":  {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", "a second document begins here"},
		"not UTF-8":        {"listen: \xff\n", "the file is not UTF-8"},
		"a list":           {"- listen\n", "the configuration must be a mapping"},
		"open, no address": {"listen: 0.0.0.0:80\n", "base_url is required"},
		"path in base URL": {"base_url: https://id.bank.example/\n", "base_url must be an origin"},
		"upper case":       {"base_url: https://ID.bank.example\n", "base_url must be an origin"},
		"no list":          {"calls: { private_hosts: localhost }\n", "calls.private_hosts must be a list"},
		"no TTL":           {"runs: { ttl: 0s }\n", "must be above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("s.yaml", []byte(c.text))
			var problems flowdefs.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	t.Setenv("STILE_TEST_SECRET", "hunter2\n")
	t.Setenv("STILE_TEST_EMPTY", " \n")
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("hunter3\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from config.Secret
		want string
	}{
		{config.Secret{Env: "STILE_TEST_SECRET"}, "hunter2"},
		{config.Secret{File: file}, "hunter3"},
	} {
		got, err := c.from.Read()
		if got != c.want || err != nil || strings.Contains(c.from.String(), c.want) {
			t.Errorf("%s: got %q, %v", c.from, got, err)
		}
	}
	for _, unset := range []config.Secret{{}, {Env: "STILE_TEST_NOT_THERE"}, {Env: "STILE_TEST_EMPTY"}, {File: filepath.Join(dir, "none")}} {
		if got, err := unset.Read(); !errors.Is(err, config.ErrUnset) || got != "" {
			t.Errorf("%s: got %q, %v", unset, got, err)
		}
	}
	if _, err := (config.Secret{File: dir}).Read(); err == nil || errors.Is(err, config.ErrUnset) {
		t.Errorf("a folder as a secret: %v", err)
	}
}

// The manual is made of these tags.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range config.Fields() {
		if f.Key == "" || f.Doc == "" || !strings.HasSuffix(f.Doc, ".") || seen[f.Key] {
			t.Errorf("%+v", f)
		}
		seen[f.Key] = true
	}
	for _, key := range []string{"listen", "store.path", "keys.master.env", "providers.<name>.client_secret.file"} {
		if !seen[key] {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, used, err := config.Find(""); err != nil || used != "" {
		t.Errorf("got %q, %v", used, err)
	}
	if _, _, err := config.Find("other.yaml"); err == nil {
		t.Error("a named file that is not there was not missed")
	}
	if err := os.WriteFile("stile.yaml", []byte("data_dir: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, used, err := config.Find("")
	if err != nil || used != "stile.yaml" || cfg.DataDir != "here" {
		t.Errorf("got %q, %q, %v", used, cfg.DataDir, err)
	}
}
