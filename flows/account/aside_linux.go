package account

import (
	"runtime"
	"syscall"
)

// lowest is the priority of what can wait: 19 is the lowest there is.
const lowest = 19

// aside does work that can wait on a thread of the lowest priority, and returns
// when it is done. On Linux a thread has a priority of its own. The thread is
// not given back: it ends with the work, since a priority that was lowered
// cannot be raised again. What goes on in goroutines of the work's own, as
// argon2 of x/crypto does, keeps the priority of everybody.
func aside(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowest) // without it the work is done as well
		work()
	}()
	<-done
}
