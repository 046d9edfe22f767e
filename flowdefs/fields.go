package flowdefs

import (
	"errors"
	"strings"
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
			"roles": always(cel.ListType(cel.StringType), func(a *AccountEnv) any {
				if a.unknown != nil {
					return unknownOf("account")
				}
				return Roles(a.Attributes)
			}),
		},
		deviceName: {
			"bound":    always(cel.BoolType, func(d *DeviceEnv) any { return d.Bound }),
			"attested": always(cel.BoolType, func(d *DeviceEnv) any { return d.Attested }),
		},
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
	yes := func(get func(proof) bool) *types.FieldType {
		return always(cel.BoolType, func(e proof) any { return get(e) })
	}
	word := func(get func(proof) string) *types.FieldType {
		return present(cel.StringType, func(e proof) (any, bool) { return get(e), get(e) != "" })
	}
	when := func(get func(proof) time.Time) *types.FieldType {
		return present(cel.TimestampType, func(e proof) (any, bool) { return get(e), !get(e).IsZero() })
	}
	// made is what only a real run has: a proof of what may happen knows no ids and no times.
	made := func(f *types.FieldType) *types.FieldType {
		get := f.GetFrom
		f.GetFrom = func(object any) (any, error) {
			if e, ok := object.(proof); ok && e.unknown {
				return unknownOf("evidence"), nil
			}
			return get(object)
		}
		return f
	}
	return map[string]*types.FieldType{
		"step":               word(func(e proof) string { return e.Step }),
		"type":               word(func(e proof) string { return e.StepType }),
		"method":             word(func(e proof) string { return string(e.Method) }),
		"authenticator":      made(word(func(e proof) string { return e.Authenticator })),
		"device":             made(word(func(e proof) string { return e.Device })),
		"unlock":             word(func(e proof) string { return string(e.Unlock) }),
		"channel":            word(func(e proof) string { return e.Channel }),
		"at":                 made(when(func(e proof) time.Time { return e.At })),
		"expires":            made(when(func(e proof) time.Time { return e.Expires })),
		"categories":         always(cel.ListType(cel.StringType), func(e proof) any { return categoryNames(e.Categories) }),
		"phishing_resistant": yes(func(e proof) bool { return e.PhishingResistant }),
		"replay_resistant":   yes(func(e proof) bool { return e.ReplayResistant }),
		"hardware_bound":     yes(func(e proof) bool { return e.HardwareBound }),
		"software_bound":     yes(func(e proof) bool { return e.SoftwareBound }),
		"exportable":         yes(func(e proof) bool { return e.Exportable }),
		"attested":           yes(func(e proof) bool { return e.Attested }),
		"user_present":       yes(func(e proof) bool { return e.UserPresent }),
		"user_verified":      yes(func(e proof) bool { return e.UserVerified }),
		"restricted":         yes(func(e proof) bool { return e.Restricted }),
		"low_entropy":        yes(func(e proof) bool { return e.LowEntropy }),
		"binding":            always(levelTypeOf(), func(e proof) any { return e.Binding }),
		"cap":                always(levelTypeOf(), func(e proof) any { return e.Cap }),
	}
}

// Roles are those of an account with these attributes: [RolesAttribute] holds them,
// with commas between them.
func Roles(attributes map[string]string) []string {
	roles := []string{}
	for role := range strings.SplitSeq(attributes[RolesAttribute], ",") {
		if role = strings.TrimSpace(role); role != "" {
			roles = append(roles, role)
		}
	}
	return roles
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
