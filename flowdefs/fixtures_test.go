package flowdefs_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// catalogue is a small set of step types.
type catalogue struct{}

var object = json.RawMessage(`{"type":"object"}`)

func (catalogue) Names() []string {
	return []string{"device_biometric", "device_enrolment", "http_call", "knobs", "message", "picky", "password", "pin", "quiet", "required_role", "sso", "totp"}
}

func (c catalogue) Describe(name string) (flowdefs.StepInfo, bool) {
	info := flowdefs.StepInfo{Name: name}
	switch name {
	case "account_link":
		info.Exits = []string{"denied", "cancelled", "taken"}
		info.Config, info.Check = object, check[ssoConfig]
	case "sso":
		info.Config, info.Exits = object, []string{"cancelled", "denied", "unmet"}
		info.Check = check[ssoConfig]
		info.Provider = func(cfg flowdefs.Config) string {
			var c ssoConfig
			_ = cfg.Decode(&c)
			return c.Provider
		}
	case "knobs":
		info.Config = object
		info.Check = check[knobsConfig]
		info.Exits = []string{"other", "denied"}
		info.Sends = true
	case "http_call":
		info.Config, info.Exits = object, []string{"challenge", "refused", "review", "unknown"}
	case "message":
		info.Config = object
		info.Check = check[messageConfig]
	case "activation_code", "device_biometric", "device_enrolment", "email_code", "magic_link", "hotp", "sms_code", "passkey", "passkey_enrolment", "password", "password_change", "ldap_password":
		info.Config = object
	case "totp_enrolment", "hotp_enrolment":
		info.Config, info.Exits = object, []string{"full"}
	case "external_token":
		info.Config, info.Exits = object, []string{"denied", "unmet"}
	case "consent", "terms":
		info.Config, info.Exits = object, []string{"denied"}
	case "required_role":
		info.Config, info.Exits = object, []string{"missing_role"}
	case "directory_lookup":
		info.Config, info.Exits = object, []string{"unknown"}
	case "authenticator_removal":
		info.Config, info.Last = object, true
	case "transaction_approval":
		info.Config, info.Signs = object, true
		info.Check = check[signedConfig]
	case "quiet":
		info.Never = []string{"locked", "insufficient"}
	case "picky":
		info.Config = object
		info.Check = func(flowdefs.Config) error { return errors.New("never satisfied") }
	}
	// What the built-in examples need besides is not listed: messages list what is.
	info.Sends = info.Sends || name == "email_code" || name == "sms_code" || name == "magic_link"
	unlisted := []string{"account_link", "activation_code", "consent", "device_pin", "device_pin_enrolment", "directory_lookup", "email_code", "external_token", "hotp", "hotp_enrolment", "identify", "ldap_password", "passkey", "passkey_enrolment", "password_change", "pin_enrolment", "recovery_code", "recovery_code_setup", "sms_code", "terms", "totp_enrolment", "transaction_approval", "authenticator_removal", "magic_link"}
	return info, slices.Contains(c.Names(), name) || slices.Contains(unlisted, name)
}

type ssoConfig struct {
	Provider string `yaml:"provider" ref:"provider"`
}

type signedConfig struct {
	Text   string   `yaml:"text" ref:"text" arguments:"fields"`
	Fields []string `yaml:"fields"`
}

type messageConfig struct {
	Text      string            `yaml:"text" ref:"message" arguments:"arguments"`
	Arguments map[string]string `yaml:"arguments,optional"`
}

// knobsConfig has a field of every type that a configuration may have.
type knobsConfig struct {
	Text   string        `yaml:"text,optional"`
	On     bool          `yaml:"on,optional"`
	Count  int           `yaml:"count,optional"`
	Small  int8          `yaml:"small,optional"`
	Length time.Duration `yaml:"length,optional"`
	Words  []string      `yaml:"words,optional"`
	Inner  struct {
		Depth int `yaml:"depth"`
	} `yaml:"inner,optional"`
	List []struct {
		Name string `yaml:"name"`
	} `yaml:"list,optional"`
}

func check[T any](cfg flowdefs.Config) error {
	var t T
	return cfg.Decode(&t)
}

// load reads one file of definitions.
func load(text string) (*flowdefs.Set, error) {
	return flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", catalogue{})
}

func mustLoad(t *testing.T, text string) *flowdefs.Set {
	t.Helper()
	set, err := load(text)
	if err != nil {
		t.Fatalf("does not load:\n%v\n%s", err, text)
	}
	return set
}
