package sso_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps/sso"
)

// presetCase is what an operator says of a provider, and who its people are then.
type presetCase struct {
	with   map[string]string // what the preset leaves open
	more   string            // further keys of the definition
	issuer string            // of its people's links, if not the provider's
}

func presetCases() map[string]presetCase {
	const secret = ", client_secret: { env: SECRET }"
	const tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
	return map[string]presetCase{
		"apple":     {more: ", client_key: { env: KEY }, client_key_id: k1, client_team: TEAM"},
		"auth0":     {with: map[string]string{"domain": "bank.eu.auth0.com"}, more: secret},
		"authelia":  {with: map[string]string{"host": "auth.bank.example"}, more: secret},
		"dex":       {with: map[string]string{"host": "dex.bank.example"}, more: secret},
		"facebook":  {more: secret},
		"github":    {more: secret},
		"gitlab":    {more: secret},
		"google":    {more: secret},
		"keycloak":  {with: map[string]string{"host": "idp.bank.example", "realm": "staff"}, more: secret},
		"linkedin":  {},
		"microsoft": {with: map[string]string{"tenant": tenant}, more: secret},
		"microsoft-tenants": {
			with: map[string]string{"audience": "organizations"}, issuer: "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
			more: secret + ", tenants: [72f988bf-86f1-41af-91ab-2d7cd011db47]",
		},
		"okta":    {with: map[string]string{"domain": "bank.okta.com"}, more: secret},
		"zitadel": {with: map[string]string{"host": "bank.zitadel.cloud"}, more: secret},
	}
}

// The flow signs on at a provider of each preset's shape: at its addresses, with its
// metadata and its ways.
func TestPresets(t *testing.T) {
	t.Parallel()
	cases := presetCases()
	for _, name := range flowdefs.Presets() {
		test, ok := cases[name]
		if !ok {
			t.Errorf("the preset %s is signed on at by nobody", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newPresetKit(t, name, test)
			tk := k.start(t, flows.StartRequest{})
			tk.completes(t)
			again := k.start(t, flows.StartRequest{})
			query := again.visit(t)
			if err := again.answer(t, query); err != nil {
				t.Fatal(err)
			}
			if err := again.answer(t, query); err == nil {
				t.Error("the same answer was taken twice")
			}
		})
	}
}

func newPresetKit(t *testing.T, name string, test presetCase, changes ...func(*oidctest.Shape)) *kit {
	t.Helper()
	shape := shapeOf(t, name, test.with)
	for _, change := range changes {
		change(shape)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var with []string
	for k, v := range test.with {
		with = append(with, k+": "+v)
	}
	slices.Sort(with)
	text := fmt.Sprintf("{ preset: %s, client_id: stile%s", name, test.more)
	if len(with) > 0 {
		text += ", with: { " + strings.Join(with, ", ") + " }"
	}
	set := presetDefinitions(t, text+" }")
	def := set.Providers["corporate"]
	k := newKit(t, func(k *kit) {
		if err := k.idp.Close(); err != nil {
			t.Fatal(err)
		}
		client := oidctest.Client{
			ID: "stile", Secret: secret, RedirectURIs: []string{redirectURI}, AllowedScopes: slices.Concat(def.Scopes, []string{"openid"}),
			Auth: def.Credentials.Method,
		}
		if def.Credentials.Secret == nil {
			client.Secret, client.Key, client.KeyID, client.Team = "", private.Public(), def.Credentials.KeyID, def.Credentials.Team
			if def.Credentials.Key == nil {
				client.Auth = "" // a public client
			}
		}
		algs, _ := shape.Metadata["id_token_signing_alg_values_supported"].([]any)
		alg := "RS256"
		for _, a := range algs {
			if s, _ := a.(string); s == "EdDSA" || s == "ES256" {
				alg = s // the quickest
			}
		}
		k.idp, err = oidctest.Start(oidctest.Config{
			Now: k.clock.Now, Clients: []oidctest.Client{client}, Alg: alg, Shape: shape, PAR: shape.Endpoints["par"] != "",
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := k.idp.Close(); err != nil {
				t.Error(err)
			}
		})
		k.def = *def
		k.road = k.idp.Transport()
		k.access = sso.Access{Network: oidcclient.Public, Transport: k.road, Now: k.clock.Now, Key: private}
		if def.Credentials.Secret != nil {
			k.access.Secret = secret
		}
		if def.Credentials.Key == nil {
			k.access.Key = nil
		}
		issuer := def.Issuer
		if test.issuer != "" {
			issuer = test.issuer
		}
		if def.Provision != flowdefs.ProvisionCreate {
			k.link(t, "subject-of-somebody", issuer, oidctest.DefaultUser().Subject)
		}
	})
	return k
}

// presetDefinitions are the definitions with another provider.
func presetDefinitions(t *testing.T, provider string) *flowdefs.Set {
	t.Helper()
	head, rest, _ := strings.Cut(definitions, "providers:\n")
	_, tail, _ := strings.Cut(rest, "clients:\n")
	registry, err := flows.NewRegistry(sso.Type(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	text := head + "providers:\n  other: { issuer: \"https://other.example\", client_id: stile }\n  corporate: " + provider + "\nclients:\n" + tail
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// shapeOf reads how the provider of a preset looks.
func shapeOf(t *testing.T, name string, with map[string]string) *oidctest.Shape {
	t.Helper()
	text, err := flowdefs.PresetFile(name)
	if err != nil {
		t.Fatal(err)
	}
	filled := string(text)
	for k, v := range with {
		filled = strings.ReplaceAll(filled, "<"+k+">", v)
	}
	var file struct {
		Shape map[string]any `yaml:"shape"`
	}
	if err := yaml.Unmarshal([]byte(filled), &file); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(file.Shape)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	var shape oidctest.Shape
	if err := d.Decode(&shape); err != nil {
		t.Fatal(err)
	}
	return &shape
}
