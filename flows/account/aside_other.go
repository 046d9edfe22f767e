//go:build !linux

package account

// aside does work that can wait. Threads have no priority of their own here.
func aside(work func()) { work() }
