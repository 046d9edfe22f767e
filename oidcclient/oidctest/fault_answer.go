package oidctest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// on makes a fault that changes the answers of one endpoint.
func on(endpoint string, change func(a *Answer)) Fault {
	return Fault{Answer: func(e string, a *Answer) {
		if e == endpoint {
			change(a)
		}
	}}
}

// Status answers with another status and keeps the body.
func Status(endpoint string, status int) Fault {
	return on(endpoint, func(a *Answer) { a.Status = status })
}

// ContentType declares the body to be of another type.
func ContentType(endpoint, media string) Fault {
	return on(endpoint, func(a *Answer) { a.Header.Set("Content-Type", media) })
}

// Body replaces the body and its type.
func Body(endpoint, media, body string) Fault {
	return on(endpoint, func(a *Answer) {
		a.Header.Set("Content-Type", media)
		a.Body = []byte(body)
	})
}

// RedirectTo answers with 307, which makes careless clients send their secrets
// to the location.
func RedirectTo(endpoint, location string) Fault {
	return on(endpoint, func(a *Answer) {
		a.Status, a.Body = http.StatusTemporaryRedirect, nil
		a.Header.Set("Location", location)
	})
}

// Cut closes the connection without an answer, after the request was carried
// out: a lost response.
func Cut(endpoint string) Fault {
	return on(endpoint, func(a *Answer) { a.Abort = true })
}

// Endless lets the body begin as JSON and never end.
func Endless(endpoint string) Fault {
	return on(endpoint, func(a *Answer) {
		a.Body = []byte(`{"padding":"`)
		a.More = func(ctx context.Context, w io.Writer) error {
			chunk := bytes.Repeat([]byte("a"), 32<<10)
			for ctx.Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return ctx.Err()
		}
	})
}

// SetMember sets a member of the JSON object that an endpoint answers with.
func SetMember(endpoint, name string, value any) Fault {
	return on(endpoint, func(a *Answer) {
		a.editJSON(func(members map[string]any) { members[name] = value })
	})
}

// DropMembers leaves members out of the JSON object.
func DropMembers(endpoint string, names ...string) Fault {
	return on(endpoint, func(a *Answer) {
		a.editJSON(func(members map[string]any) {
			for _, name := range names {
				delete(members, name)
			}
		})
	})
}

// DoubleMember writes a member of the JSON object a second time, after all
// others.
func DoubleMember(endpoint, name string, value any) Fault {
	return on(endpoint, func(a *Answer) { a.Body = appendMember(a.Body, name, value) })
}

// editJSON changes the body if it is a JSON object, and else leaves it.
func (a *Answer) editJSON(edit func(members map[string]any)) {
	decoder := json.NewDecoder(bytes.NewReader(a.Body))
	decoder.UseNumber() // or large numbers would change on the way
	var members map[string]any
	if err := decoder.Decode(&members); err != nil || members == nil {
		return
	}
	edit(members)
	body, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("oidctest: a member is no JSON: %v", err))
	}
	a.Body = body
}

// NoKeys publishes an empty key set.
func NoKeys() Fault { return SetMember(EndpointJWKS, "keys", []any{}) }

// ForeignKeys publishes only keys that sign nothing here.
func ForeignKeys(keys ...Key) Fault {
	list := []any{}
	for _, k := range keys {
		raw, err := k.JWK()
		if err != nil {
			panic(fmt.Sprintf("oidctest: key %s: %v", k.ID, err))
		}
		list = append(list, raw)
	}
	return SetMember(EndpointJWKS, "keys", list)
}

// ManyKeys publishes n keys before the real ones. They are copies of the first
// real key under other names, so each one looks right.
func ManyKeys(n int) Fault {
	return on(EndpointJWKS, func(a *Answer) {
		a.editJSON(func(members map[string]any) {
			real, _ := members["keys"].([]any)
			if len(real) == 0 {
				return
			}
			first, _ := real[0].(map[string]any)
			var list []any
			for i := range n {
				fake := map[string]any{}
				for name, value := range first {
					fake[name] = value
				}
				fake["kid"] = "copy-" + strconv.Itoa(i)
				list = append(list, fake)
			}
			members["keys"] = append(list, real...)
		})
	})
}

// Delay holds requests for a while, or until the client gives up.
func Delay(d time.Duration, endpoints ...string) Fault {
	return Fault{Before: func(ctx context.Context, endpoint string) {
		if !covers(endpoints, endpoint) {
			return
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}}
}

func covers(endpoints []string, endpoint string) bool {
	return len(endpoints) == 0 || slices.Contains(endpoints, endpoint)
}
