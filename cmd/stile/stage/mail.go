package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/scenario"
)

// mailbag is the outbox of a world: what is put into it has been delivered.
type mailbag struct {
	mu   sync.Mutex
	seen map[string]bool
	got  []flows.Message
}

var _ flows.Outbox = (*mailbag)(nil)

// Put delivers a message, once.
func (b *mailbag) Put(_ context.Context, key string, m flows.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen[key] {
		if b.seen == nil {
			b.seen = map[string]bool{}
		}
		b.seen[key] = true
		b.got = append(b.got, m)
	}
	return nil
}

// Delivered says whether it was put.
func (b *mailbag) Delivered(_ context.Context, key string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[key], nil
}

// all is everything that was delivered, the oldest first.
func (b *mailbag) all() []flows.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// codes are the codes that an address was sent, the oldest first.
func (b *mailbag) codes(to string) []string {
	var out []string
	for _, m := range b.all() {
		if code, ok := m.Args["code"]; ok && m.To == to {
			out = append(out, code)
		}
	}
	return out
}

// readCode is the actor of a step that sends codes. It knows ok, wrong, and
// stale: the code that came before the last one.
func (p *play) readCode(step, typ string) scenario.Actor {
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		to := p.person.reached[typ]
		codes := p.mail.codes(to)
		switch k := len(codes); {
		case q.Word == "wrong":
			return reply(map[string]string{"code": unlike(codes)}, nil)
		case q.Word == "stale" && k > 1:
			return reply(map[string]string{"code": codes[k-2]}, nil)
		case q.Word != "ok":
			return nil, unknownWord(step, q.Word, "ok, wrong, and stale once there were two")
		case to == "":
			return nil, p.lacks(typ)
		case k == 0:
			return nil, fmt.Errorf("%s was sent nothing", p.person.login)
		default:
			return reply(map[string]string{"code": codes[k-1]}, nil)
		}
	}
}

// unlike is a code that is none of these.
func unlike(codes []string) string {
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(codes, code) {
			return code
		}
	}
}
