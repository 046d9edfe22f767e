package config

import (
	"reflect"
	"time"
)

// Field describes one key of the configuration file.
type Field struct {
	Key     string // with its parents, e.g. "store.path"
	Type    string // "text", "number", "boolean", "duration", "list", "mapping"
	Default string // "": none
	Enum    string // comma-separated words, "": any
	Doc     string
}

// Fields lists every key in the order of the file, mappings before what is in them.
func Fields() []Field { return fieldsOf(reflect.TypeFor[Config](), "") }

func fieldsOf(t reflect.Type, prefix string) []Field {
	var all []Field
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("yaml")
		all = append(all, Field{
			Key: key, Type: typeName(f.Type), Default: f.Tag.Get("default"),
			Enum: f.Tag.Get("enum"), Doc: f.Tag.Get("doc"),
		})
		switch f.Type.Kind() {
		case reflect.Struct:
			all = append(all, fieldsOf(f.Type, key+".")...)
		case reflect.Map:
			all = append(all, fieldsOf(f.Type.Elem(), key+".<name>.")...)
		default:
		}
	}
	return all
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "mapping"
	case t.Kind() == reflect.Slice:
		return "list"
	}
	return "text"
}
