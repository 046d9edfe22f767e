package flowdefs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// SchemaFor returns the JSON Schema of T, a struct with `json` (answers) or `yaml` (configuration) tags.
//
// Known types are string, bool, integers, [time.Duration], [json.RawMessage]
// (anything), structs, pointers, maps from string, and slices of these. A field
// is required unless its tag says omitempty, omitzero or optional; other keys
// are not allowed. Further tags of a field: doc:"..." minLength:"1"
// maxLength:"64" minimum:"1" maximum:"9" pattern:"..." enum:"a,b"
// format:"password" (not to be shown while it is typed).
//
// It panics if T has another form: schemas are made when the program starts,
// from types that stand in its source.
func SchemaFor[T any]() json.RawMessage {
	t := reflect.TypeFor[T]()
	if text, made := schemas.Load(t); made {
		return bytes.Clone(text.([]byte)) //nolint:forcetypeassert // nothing else is stored
	}
	s, err := schemaOf(t)
	if err != nil {
		panic("flowdefs: SchemaFor: " + err.Error())
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic("flowdefs: SchemaFor: " + err.Error())
	}
	schemas.Store(t, text)
	return bytes.Clone(text)
}

// schemas are those that were made, by type: whoever plays a thousand scenarios
// lists the step types two thousand times.
//
//nolint:gochecknoglobals // what a type is described by never changes
var schemas sync.Map

func schemaOf(t reflect.Type) (*jsonschema.Schema, error) {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: durationForm.String()}, nil
	case t == reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}, nil
	case t == reflect.TypeFor[Query]():
		return &jsonschema.Schema{Type: "string"}, nil
	case t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface:
		return &jsonschema.Schema{}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}, nil
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &jsonschema.Schema{Type: "integer"}, nil
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		items, err := schemaOf(t.Elem())
		return &jsonschema.Schema{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := schemaOf(t.Elem())
		return &jsonschema.Schema{Type: "object", AdditionalProperties: values}, err
	case reflect.Struct:
		return objectSchema(t)
	}
	return nil, fmt.Errorf("%s has no schema", t)
}

func objectSchema(t reflect.Type) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("json") == "-" { // never written
			continue
		}
		name, optional, err := fieldName(f)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		property, err := schemaOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		if err := constrain(property, f.Tag); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		s.Properties[name] = property
		s.PropertyOrder = append(s.PropertyOrder, name)
		if !optional {
			s.Required = append(s.Required, name)
		}
	}
	return s, nil
}

func fieldName(f reflect.StructField) (name string, optional bool, err error) {
	tag, ok := f.Tag.Lookup("json")
	if !ok {
		tag, ok = f.Tag.Lookup("yaml")
	}
	name, options, _ := strings.Cut(tag, ",")
	if !ok || name == "" || name == "-" || !f.IsExported() {
		return "", false, fmt.Errorf("want an exported field with a name in a json or yaml tag")
	}
	for option := range strings.SplitSeq(options, ",") {
		optional = optional || option == "omitempty" || option == "omitzero" || option == "optional"
	}
	return name, optional, nil
}

// constrain adds what the tags of a field say.
func constrain(s *jsonschema.Schema, tag reflect.StructTag) error {
	s.Description = tag.Get("doc")
	s.Format = cmp.Or(tag.Get("format"), s.Format)
	s.Pattern = cmp.Or(tag.Get("pattern"), s.Pattern)
	if list := tag.Get("enum"); list != "" {
		for word := range strings.SplitSeq(list, ",") {
			s.Enum = append(s.Enum, word)
		}
	}
	for key, set := range map[string]func(int){
		"minLength": func(i int) { s.MinLength = &i },
		"maxLength": func(i int) { s.MaxLength = &i },
		"minimum":   func(i int) { f := float64(i); s.Minimum = &f },
		"maximum":   func(i int) { f := float64(i); s.Maximum = &f },
	} {
		text, ok := tag.Lookup(key)
		if !ok {
			continue
		}
		i, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("tag %s: %w", key, err)
		}
		set(i)
	}
	return nil
}
