package stage

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// The client ids of apps at every provider: one that definitions may list among
// theirs, and one that nobody should.
const (
	ourApp     = "com.bank.app"
	anotherApp = "com.game.app"
	stranger   = "a-stranger" // whom every provider knows, and no account is linked to
)

// nativeApps are the apps that sign people on with the provider's own software.
func nativeApps() []oidctest.Client {
	return []oidctest.Client{{ID: ourApp}, {ID: anotherApp}}
}

// signOnNatively is the actor of external_token. It knows ok, wrong (a token that was
// changed), another-app (what a game on the same phone got), denied (the
// token of somebody whom nobody knows here) and replayed (the last token again).
func (p *play) signOnNatively() scenario.Actor {
	last := oidctest.NativeTokens{}
	return func(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
		var prompt struct {
			Provider string `json:"provider"`
			Accept   string `json:"accept"`
			Nonce    string `json:"nonce"`
		}
		if err := json.Unmarshal(q.Data, &prompt); err != nil {
			return nil, err
		}
		if !slices.Contains([]string{"ok", "wrong", "another-app", "denied", "replayed"}, q.Word) || q.Word == "replayed" && last.ID == "" {
			return nil, unknownWord("external_token", q.Word, "ok, wrong, another-app, denied, and replayed once there was one")
		}
		if q.Word != "replayed" {
			n := oidctest.Native{Client: ourApp, Username: p.outside.people[prompt.Provider], Nonce: prompt.Nonce}
			if q.Word == "another-app" {
				n.Client = anotherApp
			}
			if q.Word == "denied" {
				n.Username = stranger
			}
			var err error
			if last, err = p.outside.running[prompt.Provider].SignOnNatively(n); err != nil {
				return nil, err
			}
		}
		token, member := last.ID, "idToken"
		if prompt.Accept != "id_token" {
			token, member = last.Access, "accessToken"
		}
		if q.Word == "wrong" {
			token = "x" + token
		}
		return reply(map[string]string{member: token}, nil)
	}
}
