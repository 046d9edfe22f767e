package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
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

// sent are the codes, or the links, that an address was sent, the oldest first.
func (b *mailbag) sent(what, to string) []string {
	var out []string
	for _, m := range b.all() {
		if text, ok := m.Args[what]; ok && m.To == to {
			out = append(out, text)
		}
	}
	return out
}

// readCode is the actor of a step that sends codes. It knows ok, wrong, and
// stale: the code that came before the last one.
func (p *play) readCode(step, typ string) scenario.Actor {
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		to := p.person.reached[typ]
		codes := p.mail.sent("code", to)
		switch k := len(codes); {
		case q.Word == "wrong":
			return reply(map[string]string{"code": unlike(codes, "%06d")}, nil)
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
func unlike(codes []string, form string) string {
	for i := 0; ; i++ {
		if code := fmt.Sprintf(form, i); !slices.Contains(codes, code) {
			return code
		}
	}
}

// followLink is the actor of magic_link. It knows ok: the app itself opens the
// link that came last; code: the person types what the page has shown; wrong: a
// code that no page has shown; and stale: the link that came before the last one.
func (p *play) followLink(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	to := p.person.reached[account.TypeEmail]
	links := p.mail.sent("link", to)
	switch k := len(links); {
	case q.Word == "wrong":
		return reply(map[string]string{"code": unlike([]string{q.Shown}, "%08d")}, nil)
	case q.Word == "code" && q.Shown != "":
		return reply(map[string]string{"code": q.Shown}, nil)
	case q.Word == "stale" && k > 1:
		return reply(map[string]string{"token": tokenOf(links[k-2])}, nil)
	case q.Word != "ok":
		return nil, unknownWord("magic_link", q.Word, "ok, wrong, code once a page has shown one, and stale once there were two")
	case to == "":
		return nil, p.lacks(account.TypeEmail)
	case k == 0:
		return nil, fmt.Errorf("%s was sent nothing", p.person.login)
	default:
		return reply(map[string]string{"token": tokenOf(links[k-1])}, nil)
	}
}

// tokenOf is what a link has at its end.
func tokenOf(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }
