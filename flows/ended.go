package flows

import (
	"context"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// Who changes a password or gives up a phone does so, perhaps, because somebody
// else has it. So the account's other sessions end with that change, and with them
// every run of the account that began before it: what was proved there was proved
// with what has gone. Only the run that made the change goes on, and the session
// that it leaves.

// endKept is how long an end is kept: no refresh token that outlives its session is good for longer.
const endKept = flowdefs.LongestRefresh + 25*time.Hour

// lookEnd finds out whether the account's sessions were ended since this run began.
func (x *exchange) lookEnd(ctx context.Context) error {
	s := &x.r.State
	if x.w.stale = false; s.Subject == "" {
		return nil
	}
	gone, err := x.rootless(ctx)
	if err != nil || gone {
		x.w.stale = gone
		return err
	}
	end, err := x.e.cfg.Sessions.SessionsEnded(ctx, s.Subject, x.w.now)
	if err != nil {
		return err
	}
	spared := "" // another run on the session that goes on may be somebody's who has copied it
	if x.r.Changed {
		spared = x.leaves()
	}
	x.w.stale = end.Ends(spared, x.r.Started)
	return nil
}

// leaves is the ID of the session that the run will leave, "" if nobody has to know it yet.
func (x *exchange) leaves() string {
	if ps := x.r.State.Session; ps != nil && ps.Subject == x.r.State.Subject && !x.w.over {
		return ps.ID
	}
	return x.r.Leaves
}

// sessionID is the same, and names the session if it has no ID yet.
func (x *exchange) sessionID() string {
	id := x.leaves()
	if id == "" {
		id = newID()
		x.r.Leaves = id
	}
	return id
}

// endOthers lists the end of the account's other sessions in the change. It is
// dated after the step has changed what it changes, so that a run which began with
// what was there before began before it.
func (x *exchange) endOthers() *SessionsEnd {
	if !x.ends {
		return nil
	}
	at := x.e.cfg.Now().UTC()
	return &SessionsEnd{Subject: x.r.State.Subject, At: at, Spared: x.sessionID(), Until: at.Add(endKept)}
}
