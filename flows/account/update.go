package account

import (
	"errors"
	"fmt"
)

// ErrFixed reports an update that would change what never changes.
var ErrFixed = errors.New("account: authenticator's identity cannot change")

// CheckUpdate says whether an authenticator may become another value: its id,
// account, type, level at binding and creation time never change. Repositories
// call it in UpdateAuthenticator. [ErrFixed] names the field.
func CheckUpdate(before, after Authenticator) error {
	switch {
	case after.ID != before.ID:
		return fmt.Errorf("%w: id", ErrFixed)
	case after.Subject != before.Subject:
		return fmt.Errorf("%w: subject", ErrFixed)
	case after.Type != before.Type:
		return fmt.Errorf("%w: type", ErrFixed)
	case after.Binding != before.Binding:
		return fmt.Errorf("%w: binding", ErrFixed)
	case !after.Created.Equal(before.Created):
		return fmt.Errorf("%w: created", ErrFixed)
	}
	return nil
}
