package demo

import (
	"fmt"
	"slices"
)

const (
	promptOTP       = "OTP_REQUIRED"
	promptPIN       = "PIN_REQUIRED"
	promptBiometric = "BIOMETRIC_ATTESTATION_REQUIRED"
	promptEnrolment = "DEVICE_ENROLMENT_REQUIRED"
	promptSelection = "SELECTION_REQUIRED"

	stepCode = "/v1/flow/steps/code"
)

// stepUp is the second run: more is asked for, only what is missing is done.
func stepUp() scene {
	return scene{
		run: 2, title: "payments: step up with what is missing, and bind the phone",
		forbidden: without(whoBrowser, "the sign-on is asked for again"),
		steps: []step{
			callsAPI("the app calls the API where it asks for more, with the token it has", "/accounts/payments"),
			refused("/accounts/payments", "insufficient_user_authentication"),
			starts("payments", true),
			prompts("Stile skips the sign-on and asks for a one-time code", "/v1/flows", promptOTP, nil),
			submits("the user types the code", stepCode),
			prompts("the second factor is proved; the phone is not bound yet", stepCode, promptEnrolment, nil),
			submits("the phone makes a key and signs the challenge with it", "/v1/flow/steps/bind-phone"),
			completes("/v1/flow/steps/bind-phone"),
			opens("the API opens", "/payments", "aal2"),
		},
	}
}

// everyday is the third run: a bound phone, no session, any factor.
func everyday(factor string) scene {
	typ := map[string]string{"pin": promptPIN, "code": promptOTP, "biometric": promptBiometric}[factor]
	acr := "aal2"
	if factor == "pin" {
		acr = "aal1" // two things known are one factor
	}
	steps := []step{
		callsAPI("the app calls a third API, without a token", "/balance"),
		refused("/balance", ""),
		starts("balance", false),
	}
	steps = append(steps, signsOn()...)
	steps = append(steps,
		prompts("the user may choose", stepSSO, promptSelection, offers("biometric", "code", "pin")),
		submits("the user chooses "+factor, "/v1/flow/steps/factor"),
		prompts("Stile asks for it", "/v1/flow/steps/factor", typ, nil),
		submits("the user proves it", "/v1/flow/steps/"+factor),
		completes("/v1/flow/steps/"+factor),
		opens("the API opens; nothing was enrolled", "/balance", acr),
	)
	return scene{
		run: 3, title: "balance: the bound phone, no session, any factor", steps: steps,
		forbidden: withoutPrompt(promptEnrolment, "the phone is to be bound again"),
	}
}

// again is the fourth run: payments with the bound phone.
func again() scene {
	steps := []step{
		callsAPI("the app calls the API, without a token", "/payments"),
		refused("/payments", ""),
		starts("payments", false),
	}
	steps = append(steps, signsOn()...)
	steps = append(steps,
		prompts("the user may choose", stepSSO, promptSelection, offers("biometric", "code")),
		submits("the user chooses biometrics", "/v1/flow/steps/second-factor"),
		prompts("Stile sends a challenge", "/v1/flow/steps/second-factor", promptBiometric, nil),
		submits("the phone has seen its owner and signs", "/v1/flow/steps/biometric"),
		completes("/v1/flow/steps/biometric"),
		opens("the API opens", "/payments", "aal2"),
	)
	return scene{
		run: 4, title: "payments: sign-on and biometrics", steps: steps,
		forbidden: withoutPrompt(promptEnrolment, "the phone is to be bound again"),
	}
}

// offers checks which options a choice has.
func offers(want ...string) func(*memory) ([]string, error) {
	return func(m *memory) ([]string, error) {
		list, _ := m.view.NextStep.Data["options"].([]any)
		var got []string
		for _, o := range list {
			option, _ := o.(map[string]any)
			id, _ := option["id"].(string)
			got = append(got, id)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return nil, fmt.Errorf("the options are %v and not %v", got, want)
		}
		return []string{fmt.Sprintf("options %v", got)}, nil
	}
}
