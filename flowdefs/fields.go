package flowdefs

import (
	"errors"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/stile-auth/stile/flows/assurance"
)

var errAbsent = errors.New("is absent")

// fieldsOf lists what can be read of each type of the environment.
//
// A field that may be absent is an error when it is read and false for has(): what is not known is not "".
func fieldsOf() map[string]map[string]*types.FieldType {
	fields := map[string]map[string]*types.FieldType{
		accountName: {
			"attributes": always(cel.MapType(cel.StringType, cel.StringType), func(a *AccountEnv) any {
				if a.unknown != nil {
					return unknownOf("account")
				}
				return a.Attributes
			}),
		},
		deviceName: {"bound": always(cel.BoolType, func(d *DeviceEnv) any { return d.Bound })},
		clientName: {"id": present(cel.StringType, func(c *ClientEnv) (any, bool) { return c.ID, c.ID != "" })},
		runName: {
			"flow": always(cel.StringType, func(r *RunEnv) any { return r.Flow }),
			"started": always(cel.TimestampType, func(r *RunEnv) any {
				if r.unknown {
					return unknownOf("run")
				}
				return r.Started
			}),
		},
		levelsName:   {},
		levelName:    {},
		evidenceName: evidenceFields(),
	}
	for i, name := range assurance.Levels() {
		fields[levelsName][name] = always(levelTypeOf(), func(levels) any { return assurance.Level(i + 1) })
	}
	return fields
}

// evidenceFields leaves out what a remote provider said in its own words: it is for audit only.
func evidenceFields() map[string]*types.FieldType {
	type evidence = assurance.Evidence
	yes := func(get func(*evidence) bool) *types.FieldType {
		return always(cel.BoolType, func(e *evidence) any { return get(e) })
	}
	word := func(get func(*evidence) string) *types.FieldType {
		return present(cel.StringType, func(e *evidence) (any, bool) { return get(e), get(e) != "" })
	}
	when := func(get func(*evidence) time.Time) *types.FieldType {
		return present(cel.TimestampType, func(e *evidence) (any, bool) { return get(e), !get(e).IsZero() })
	}
	return map[string]*types.FieldType{
		"step":               word(func(e *evidence) string { return e.Step }),
		"type":               word(func(e *evidence) string { return e.StepType }),
		"method":             word(func(e *evidence) string { return string(e.Method) }),
		"authenticator":      word(func(e *evidence) string { return e.Authenticator }),
		"device":             word(func(e *evidence) string { return e.Device }),
		"unlock":             word(func(e *evidence) string { return string(e.Unlock) }),
		"channel":            word(func(e *evidence) string { return e.Channel }),
		"at":                 when(func(e *evidence) time.Time { return e.At }),
		"expires":            when(func(e *evidence) time.Time { return e.Expires }),
		"categories":         always(cel.ListType(cel.StringType), func(e *evidence) any { return categoryNames(e.Categories) }),
		"phishing_resistant": yes(func(e *evidence) bool { return e.PhishingResistant }),
		"replay_resistant":   yes(func(e *evidence) bool { return e.ReplayResistant }),
		"hardware_bound":     yes(func(e *evidence) bool { return e.HardwareBound }),
		"software_bound":     yes(func(e *evidence) bool { return e.SoftwareBound }),
		"exportable":         yes(func(e *evidence) bool { return e.Exportable }),
		"attested":           yes(func(e *evidence) bool { return e.Attested }),
		"user_present":       yes(func(e *evidence) bool { return e.UserPresent }),
		"user_verified":      yes(func(e *evidence) bool { return e.UserVerified }),
		"restricted":         yes(func(e *evidence) bool { return e.Restricted }),
		"low_entropy":        yes(func(e *evidence) bool { return e.LowEntropy }),
		"binding":            always(levelTypeOf(), func(e *evidence) any { return e.Binding }),
		"cap":                always(levelTypeOf(), func(e *evidence) any { return e.Cap }),
	}
}

func categoryNames(categories []assurance.Category) []string {
	names := make([]string, len(categories))
	for i, c := range categories {
		names[i] = string(c)
	}
	return names
}

// always makes a field that every object has.
func always[T any](t *cel.Type, get func(T) any) *types.FieldType {
	return present(t, func(object T) (any, bool) { return get(object), true })
}

// present makes a field that an object may lack.
func present[T any](t *cel.Type, get func(T) (any, bool)) *types.FieldType {
	return &types.FieldType{
		Type: t,
		IsSet: func(object any) bool {
			o, ok := object.(T)
			if !ok {
				return false
			}
			_, ok = get(o)
			return ok
		},
		GetFrom: func(object any) (any, error) {
			o, ok := object.(T)
			if !ok {
				return nil, errAbsent
			}
			value, ok := get(o)
			if !ok {
				return nil, errAbsent
			}
			return value, nil
		},
	}
}
