package prove

// Check is the stable code of one thing that is held of every flow.
type Check string

// What is always checked. What each means, and what to do about it, stands in docs/proofs.md.
const (
	Unreachable    Check = "unreachable"     // no run gets to a step
	NoCompletion   Check = "no_completion"   // no run completes
	Endless        Check = "endless"         // a run cannot end
	Loop           Check = "loop"            // a run goes around without asking anything
	DeadEnd        Check = "dead_end"        // a choice that some account cannot leave
	SubjectUnknown Check = "subject_unknown" // a step checks somebody, and nobody is named yet
	Unproved       Check = "unproved"        // a step relies on somebody who has proved nothing yet
	Obligation     Check = "obligation"      // a run comes to its end and owes something
	NothingProved  Check = "nothing_proved"  // a run comes to its end without a proof
	Enrolment      Check = "enrolment"       // a step can only be passed with what was enrolled in the run
	Untrusted      Check = "untrusted"       // what the client says removes a step
	Undrawable     Check = "undrawable"      // no client can draw an option
	NowhereExit    Check = "nowhere_exit"    // an exit leads nowhere, or is never taken
	Level          Check = "level"           // the level of a target is not reached
	Broken         Check = "guarantee"       // a guarantee is false
	Bound          Check = "bound"           // the proof has hit a bound
)

// Checks returns the codes of all checks that can be held of a flow by itself.
func Checks() []Check {
	return []Check{
		Unreachable, NoCompletion, Endless, Loop, DeadEnd, SubjectUnknown, Unproved, Obligation, NothingProved, Enrolment,
		Untrusted, Undrawable, NowhereExit, Level,
	}
}
