package account

import (
	"runtime"
	"syscall"
	"testing"
)

// What is done aside has the lowest priority, and nothing else has it.
func TestAside(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const raw = 20 // the system call tells 20 minus the niceness
	before := priority(t)
	var within int
	aside(func() { within = priority(t) })
	if within != raw-lowest {
		t.Errorf("aside the priority is %d, want %d", within, raw-lowest)
	}
	if after := priority(t); after != before {
		t.Errorf("afterwards the priority is %d, was %d", after, before)
	}
}

func priority(t *testing.T) int {
	t.Helper()
	p, err := syscall.Getpriority(syscall.PRIO_PROCESS, syscall.Gettid())
	if err != nil {
		t.Error(err)
	}
	return p
}
