// Package devicekey is what the steps about keys of a phone have in common: one
// binds a key, and one asks a bound key for a signature. It is not a step.
//
// What unlocks such a key, biometrics or a PIN, is between the person and the
// phone. Keys of both kinds are signed with and bound in the same way, and
// neither stands for the other.
package devicekey

import "errors"

var errNoAudience = errors.New("devicekey: no audience")
