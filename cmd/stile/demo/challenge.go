package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// storyStepUp is RFC 9470 from end to end: a resource says what it needs, the
// app asks Stile for just that, what is missing is done and nothing else, and
// what nobody can do is refused before anybody is asked for anything.
const storyStepUp = "step-up"

const (
	promptPassword = "PASSWORD_REQUIRED"
	stepPassword   = "/v1/flow/steps/password"
)

func (p *parts) stepUpRuns() []tale {
	return []tale{
		{scene: reads(), act: p.visit("/notes", "/notes", "notes", false)},
		{scene: unlocks(), act: p.visit("/notes/vault", "/vault", "vault", true)},
		{scene: sealed(), act: p.outOfReach, refused: true},
	}
}

// reads is the first run: what asks for little gets little.
func reads() scene {
	return scene{run: 1, title: "notes: a password is enough", steps: []step{
		callsAPI("the app calls the API, without a token", "/notes"),
		refused("/notes", ""),
		starts("notes", false),
		prompts("Stile asks for the password", "/v1/flows", promptPassword, nil),
		submits("the user types it", stepPassword),
		completes(stepPassword),
		opens("the API opens", "/notes", "aal1"),
	}}
}

// unlocks is the second run: the resource's challenge goes on to Stile, and
// only what is missing is asked for.
func unlocks() scene {
	return scene{
		run: 2, title: "vault: the API asks for more, and only the code is missing",
		forbidden: withoutPrompt(promptPassword, "the password is asked for again"),
		steps: []step{
			callsAPI("the app calls the API where it asks for more, with the token it has", "/notes/vault"),
			refused("/notes/vault", "insufficient_user_authentication"),
			challenges("the app passes the challenge on: acr_values and max_age", "vault"),
			prompts("Stile asks for what is missing", "/v1/flows", promptOTP, nil),
			submits("the user types the code", stepCode),
			completes(stepCode),
			opens("the API opens", "/vault", "aal2"),
		},
	}
}

// sealed is the third run: resistance to phishing is asked for, nothing that
// the flow has can prove it, so nothing is asked of the user.
func sealed() scene {
	return scene{
		run: 3, title: "the seal: out of reach, and said so at once",
		forbidden: withoutPrompt(promptOTP, "the user is led down a way that does not get there"),
		steps: []step{
			callsAPI("the app calls the API, with the token of the vault", "/vault/seal"),
			refused("/vault/seal", "insufficient_user_authentication"),
			challenges("the app passes the challenge on", "vault"),
			{"Stile refuses at the start", answered(whoApp, http.MethodPost, "/v1/flows"), func(m *memory, x moment) ([]string, error) {
				v, err := viewOf(x.ResponseBody)
				if err != nil || x.Status != http.StatusForbidden || v.Code != "unmet_authentication_requirements" {
					return nil, fmt.Errorf("Stile answered %d %s", x.Status, v.Code)
				}
				return []string{fmt.Sprintf("%d  %s", x.Status, v.Code)}, nil
			}},
		},
	}
}

// challenges waits for a start that names what the challenge of the API named (RFC 9470 §4).
func challenges(title, target string) step {
	return step{title, asked(whoApp, http.MethodPost, "/v1/flows"), func(m *memory, x moment) ([]string, error) {
		body := object(x.RequestBody)
		if body["target"] != target || body["session"] != m.session {
			return nil, errors.New("it starts something else, or without the session")
		}
		if body["acrValues"] == nil {
			return nil, errors.New("the values of the challenge are missing")
		}
		return []string{requestLine(x.Exchange) + "  " + credentials(x.Exchange), fields(body)}, nil
	}}
}

// outOfReach is what the app does when it is asked for what it cannot get.
func (p *parts) outOfReach(ctx context.Context, m *memory) error {
	status, challenge, _, err := p.app.CallAPI(ctx, p.bank.URL()+"/vault/seal", m.token)
	if err != nil {
		return err
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("the API answered %d", status)
	}
	_, err = p.app.Run(ctx, app.StartOptions{Target: "vault", Session: m.session, ACRValues: challenge.ACRValues, MaxAge: challenge.MaxAge})
	var refused *app.ProblemError
	if err == nil || !errors.As(err, &refused) {
		return fmt.Errorf("the run was not refused: %w", err)
	}
	return nil
}
