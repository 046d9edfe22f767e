package app

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
)

// fill answers an action from nothing but its schema: it fills in the
// required members, and leaves the others out.
func (a *App) fill(act action) (map[string]any, error) {
	values := map[string]any{}
	if len(act.Schema) == 0 {
		return values, nil
	}
	schema, err := parseSchema(act.Schema)
	if err != nil {
		return nil, err
	}
	for _, name := range schema.Required {
		if values[name], err = a.value(name, schema.Properties[name]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// value finds what to put into one member: what the schema prescribes, what
// the user picks of what it lists, agreement where it asks yes or no, and
// else what the user types into a field of that name.
func (a *App) value(name string, s *jsonschema.Schema) (any, error) {
	switch {
	case s == nil:
		return a.typed(name)
	case s.Const != nil:
		return *s.Const, nil
	case len(s.Enum) > 0:
		return a.oneOf(name, s.Enum)
	case s.Type == "boolean":
		return true, nil
	case s.Type == "string" || s.Type == "":
		return a.typed(name)
	}
	return nil, fmt.Errorf("the app cannot fill in %q of type %q", name, s.Type)
}

func (a *App) oneOf(name string, enum []any) (any, error) {
	if len(enum) == 1 {
		return enum[0], nil
	}
	options := make([]Option, 0, len(enum))
	for _, e := range enum {
		text, ok := e.(string)
		if !ok {
			return enum[0], nil // nothing that could be shown to a person by its name
		}
		options = append(options, Option{ID: text})
	}
	id := a.pick(options)
	for _, o := range options {
		if o.ID == id {
			return id, nil
		}
	}
	return nil, fmt.Errorf("the user picked %q for %q, which is not offered", id, name)
}

// typed is what the user knows by that name.
func (a *App) typed(name string) (string, error) {
	known := ""
	switch name {
	case "username", "login", "identifier", "email":
		known = a.cfg.User.Username
	case "password":
		known = a.cfg.User.Password
	case "pin":
		known = a.cfg.User.PIN
	case "code", "otp", "totp":
		if a.cfg.User.TOTP == nil {
			return "", fmt.Errorf("the user has no authenticator app for %q", name)
		}
		return a.cfg.User.TOTP(a.cfg.Now())
	}
	if known == "" {
		return "", fmt.Errorf("the user does not know what to type into %q", name)
	}
	return known, nil
}

// fits checks a body against its schema before it leaves the phone.
func fits(values map[string]any, raw []byte) error {
	if len(raw) == 0 {
		if len(values) > 0 {
			return errors.New("the action takes no body, but there is something to say")
		}
		return nil
	}
	schema, err := parseSchema(raw)
	if err != nil {
		return err
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	if err := resolved.Validate(values); err != nil {
		return fmt.Errorf("the answer does not fit the schema: %w", err)
	}
	return nil
}

func parseSchema(raw []byte) (*jsonschema.Schema, error) {
	var schema jsonschema.Schema
	if err := json.Unmarshal(raw, &schema); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &schema, nil
}
