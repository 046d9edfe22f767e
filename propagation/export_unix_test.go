//go:build unix

package propagation

// CheckOwner lets the tests, which may not be root, check the owner's rule.
var CheckOwner = checkOwner
