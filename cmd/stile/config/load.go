package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
)

const (
	top     = "the configuration"
	maxFile = 1 << 20
	// DefaultFile is read if no file is named and it exists.
	DefaultFile = "stile.yaml"
)

// Find loads the named file or, if name is empty, [DefaultFile] of the current
// folder, or, if that does not exist, the defaults. used is the file, "" if none.
func Find(name string) (cfg Config, used string, err error) {
	if name != "" {
		cfg, err = Load(name)
		return cfg, name, err
	}
	cfg, err = Load(DefaultFile)
	if errors.Is(err, fs.ErrNotExist) {
		cfg, err = Default()
		return cfg, "", err
	}
	return cfg, DefaultFile, err
}

// Default returns the configuration of an empty file in the current folder.
func Default() (Config, error) { return Parse(DefaultFile, nil) }

// Load reads a file. All its mistakes come back together as
// [flowdefs.Problems]; that it cannot be read is an error that is not Problems.
func Load(name string) (Config, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if info.Size() > maxFile {
		return Config{}, fmt.Errorf("config: %s is larger than %d bytes", name, maxFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return Parse(name, text)
}

// Parse is [Load] for a text that is in memory already.
func Parse(name string, text []byte) (Config, error) {
	d := decoder{file: name}
	var cfg Config
	if err := applyDefaults(reflect.ValueOf(&cfg).Elem()); err != nil {
		return Config{}, err
	}
	root := d.parse(text)
	if root != nil {
		d.value(root, reflect.ValueOf(&cfg).Elem(), "", top)
	} else {
		root = &yaml.Node{Kind: yaml.MappingNode}
	}
	cfg.resolve(filepath.Dir(name))
	d.check(root, cfg)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b flowdefs.Problem) int {
			return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
		})
		return Config{}, d.problems
	}
	return cfg, nil
}

func (d *decoder) parse(text []byte) *yaml.Node {
	var documents []yaml.Node
	if !utf8.Valid(text) {
		d.fail(&yaml.Node{}, "the file is not UTF-8")
		return nil
	}
	if err := yaml.Load(text, &documents, yaml.WithAllDocuments()); err != nil {
		d.fail(&yaml.Node{Line: lineOf(err)}, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if len(documents) > 1 {
		d.fail(&documents[1], "a second document begins here; a file holds one")
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 {
		return nil
	}
	return documents[0].Content[0]
}

// lineOf finds the line that a syntax error names, 1 if it names none.
func lineOf(err error) int {
	line := 1
	if _, rest, ok := strings.Cut(err.Error(), "line "); ok {
		_, _ = fmt.Sscanf(rest, "%d", &line) // it stays 1
	}
	return line
}

// applyDefaults sets every field to its tag's default.
func applyDefaults(v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if v.Field(i).Kind() == reflect.Struct {
			if err := applyDefaults(v.Field(i)); err != nil {
				return err
			}
			continue
		}
		if text, ok := f.Tag.Lookup("default"); ok {
			if err := setScalar(v.Field(i), text, f.Tag); err != nil {
				return fmt.Errorf("config: default of %s %w", f.Name, err)
			}
		}
	}
	return nil
}

// resolve makes paths relative to folder absolute in meaning, and fills in the
// places that follow from others.
func (c *Config) resolve(folder string) {
	for _, p := range []*string{
		&c.Definitions, &c.DataDir, &c.Store.Path, &c.Store.Password.File, &c.Store.Runs.Password.File, &c.Store.Runs.Sentinels.File, &c.Store.Runs.CA, &c.Keys.Signing, &c.Keys.Master.File, &c.Audit.Path,
		&c.Devices.AndroidRoots, &c.Devices.AppleRoots, &c.Devices.Revocations, &c.Passkeys.Metadata, &c.Passwords.Blocked, &c.Delivery.File, &c.Delivery.Texts, &c.Delivery.SMTP.Password.File, &c.Delivery.Webhook.Secret.File,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	for name, p := range c.Providers {
		for _, f := range []*string{&p.ClientSecret.File, &p.ClientKey.File, &p.ClientCertificate.File, &p.CA} {
			if *f != "" && !filepath.IsAbs(*f) {
				*f = filepath.Join(folder, *f)
			}
		}
		c.Providers[name] = p
	}
	for name, d := range c.Directories {
		for _, p := range []*string{&d.CA, &d.BindPassword.File} {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(folder, *p)
			}
		}
		c.Directories[name] = d
	}
	for name, a := range c.Gateway.Apps {
		if f := a.ClientSecret.File; f != "" && !filepath.IsAbs(f) {
			a.ClientSecret.File = filepath.Join(folder, f)
			c.Gateway.Apps[name] = a
		}
	}
	for id, s := range c.Keys.Peppers {
		if f := s.File; f != "" && !filepath.IsAbs(f) {
			c.Keys.Peppers[id] = Secret{File: filepath.Join(folder, f)}
		}
	}
	c.Store.Path = cmp.Or(c.Store.Path, filepath.Join(c.DataDir, "stile.db"))
	c.Delivery.File = cmp.Or(c.Delivery.File, filepath.Join(c.DataDir, "messages.txt"))
	c.Audit.Path = cmp.Or(c.Audit.Path, filepath.Join(c.DataDir, "audit.jsonl"))
}

// check reports what the keys mean together. Problems stand where the value
// stands, or at the top if it is absent.
func (d *decoder) check(root *yaml.Node, c Config) {
	at := func(key string) *yaml.Node { return below(root, key) }
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		d.fail(at("listen"), "listen must be an address such as 127.0.0.1:8080, not %q", c.Listen)
	}
	switch {
	case c.BaseURL != "" && !isOrigin(c.BaseURL):
		d.fail(at("base_url"), "base_url must be an origin such as https://id.bank.example: https (http for this machine alone), lower case, no path, not %q", c.BaseURL)
	case c.BaseURL == "" && err == nil && !loopback(host):
		d.fail(at("listen"), "base_url is required when listen is not a loopback address")
	}
	if _, _, err := net.SplitHostPort(c.Gateway.Listen); c.Gateway.Listen != "" && err != nil {
		d.fail(at("gateway"), "gateway.listen must be an address such as 127.0.0.1:9191, not %q", c.Gateway.Listen)
	}
	d.checkGateway(root, c.Gateway)
	for _, problem := range c.Store.problems() {
		d.fail(at("store"), "%s", problem)
	}
	if c.Store.Type == "postgres" && c.Keys.Master.IsZero() {
		d.fail(at("store"), "keys.master is required with store.type postgres: all nodes need the same one")
	}
	if c.Tokens.TTL == 0 || c.Tokens.TTL > c.Tokens.MaxTTL {
		d.fail(at("tokens"), "tokens.ttl must be above 0 and at most tokens.max_ttl (%s)", c.Tokens.MaxTTL)
	}
	switch by := c.Delivery.By; {
	case by == "smtp" && (c.Delivery.SMTP.Address == "" || c.Delivery.SMTP.From == ""):
		d.fail(at("delivery"), "delivery.smtp.address and delivery.smtp.from are required to send by smtp")
	case by == "webhook" && (c.Delivery.Webhook.URL == "" || c.Delivery.Webhook.Secret.IsZero()):
		d.fail(at("delivery"), "delivery.webhook.url and delivery.webhook.secret are required to send by webhook")
	case c.Delivery.Window == 0:
		d.fail(at("delivery"), "delivery.window must be above 0")
	}
	if _, ok := c.Keys.Peppers[c.Keys.Pepper]; c.Keys.Pepper != "" && c.Keys.Pepper != "1" && !ok {
		d.fail(at("keys"), "keys.pepper: keys.peppers has no %q", c.Keys.Pepper)
	}
	if c.Keys.Rotate != 0 && c.Keys.Rotate < time.Hour {
		d.fail(at("keys"), "keys.rotate must be 0 or at least 1h")
	}
	if c.Hashing.Total < c.Hashing.Memory {
		d.fail(at("hashing"), "hashing.total must be at least hashing.memory (%d)", c.Hashing.Memory)
	}
	if u, err := url.Parse(c.BaseURL); c.Devices.Development && c.BaseURL != "" && (err != nil || !loopback(u.Hostname())) {
		d.fail(at("devices"), "devices.development is for a server of this machine alone, and base_url is not a loopback address")
	}
	if c.Devices.Revocations != "" && c.Devices.RevocationAge == 0 {
		d.fail(at("devices"), "devices.revocation_max_age must be above 0")
	}
	if c.Runs.TTL == 0 || c.Runs.SessionTTL == 0 || c.Runs.TTL > time.Hour {
		d.fail(at("runs"), "runs.ttl and runs.session_ttl must be above 0, and runs.ttl at most 1h: proofs suppose that no run takes longer")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isOrigin demands https, or http on this machine; anything else would send handles and tokens in the clear.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+strings.ToLower(u.Host) != text {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}
