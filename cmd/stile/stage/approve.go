package stage

import (
	"context"
	"encoding/json"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/flows/scenario"
)

// approve is the actor of transaction_approval. It knows ok, wrong (over another
// transaction than the one that was shown), unshown (a signature that says of no
// transaction that it was shown), replayed (the last signature again), and
// removed: by a key that the account has not, or no more.
func (p *play) approve() scenario.Actor {
	var last string
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		prompt, err := p.phonePrompt(q)
		if err != nil {
			return nil, err
		}
		var shown app.Shown
		if err := json.Unmarshal(q.Data, &shown); err != nil {
			return nil, err
		}
		device := p.device
		switch {
		case q.Word == "replayed" && last != "":
			return reply(map[string]string{"jws": last}, nil)
		case q.Word == "unshown":
			signed, err := device.Authenticate(prompt, q.Client)
			return reply(map[string]string{"jws": signed}, err)
		case q.Word == "ok":
		case q.Word == "wrong":
			for name := range shown.Arguments {
				shown.Arguments[name] += "0"
				shown.Text += " " + shown.Arguments[name]
			}
			if shown, err = shown.Rehash(); err != nil {
				return nil, err
			}
		case q.Word == "removed":
			if device, err = p.strange(); err != nil {
				return nil, err
			}
		default:
			return nil, unknownWord("transaction_approval", q.Word, "ok, wrong, unshown, removed, and replayed once there was one")
		}
		signed, err := device.Approve(prompt, shown, q.Client)
		if q.Word == "ok" {
			last = signed
		}
		return reply(map[string]string{"jws": signed}, err)
	}
}
