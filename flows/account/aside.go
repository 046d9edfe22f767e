package account

// aside does work that can wait on a thread of lower priority, where the
// system has such threads, and returns when it is done.
func aside(work func()) { work() }
