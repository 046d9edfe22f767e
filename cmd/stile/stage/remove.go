package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/flows/scenario"
)

// remove knows the types of authenticators: the first of that type is removed; ok:
// the last that is listed; wrong: one that the account has not; rename: the first
// is called something else.
func (p *play) remove(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		Authenticators []struct{ ID, Type string }
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	all := prompt.Authenticators
	answer := func(id string) (json.RawMessage, error) {
		return reply(map[string]string{"action": "remove", "authenticator": id}, nil)
	}
	switch {
	case q.Word == "wrong":
		return answer("somebody-elses")
	case q.Word == "rename" && len(all) > 0:
		return reply(map[string]string{"action": "rename", "authenticator": all[0].ID, "name": "the old one"}, nil)
	case q.Word == "ok" && len(all) > 0:
		return answer(all[len(all)-1].ID)
	}
	types := []string{}
	for _, a := range all {
		if a.Type == q.Word {
			return answer(a.ID)
		}
		types = append(types, a.Type)
	}
	return nil, unknownWord("authenticator_removal", q.Word, fmt.Sprintf("wrong, rename, ok, %s", strings.Join(types, ", ")))
}
