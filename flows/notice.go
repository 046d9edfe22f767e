package flows

import (
	"context"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// Notice is a kind of thing that the owner of an account is told: what changes
// how they sign in, and what somebody else may be trying (OWASP ASVS 5.0 6.3.5 and
// 6.3.7). Its name is that of the template of the message.
type Notice string

// The notices.
const (
	NoticeAdded    Notice = "authenticator_added"
	NoticeRemoved  Notice = "authenticator_removed"
	NoticePassword Notice = "password_changed"
	NoticeRecovery Notice = "recovery_code_used"
	NoticeAttempts Notice = "attempts_failed"      // so many wrong answers that a pause follows
	NoticeReused   Notice = "code_reused"          // a code that had been used was presented
	NoticeLocked   Notice = "authenticator_locked" // no attempt is left
	NoticeDenied   Notice = "link_denied"          // they said that a link was not asked for by them
	NoticeDisabled Notice = "account_disabled"     // an administrator has disabled the account
	NoticeEnabled  Notice = "account_enabled"      // and this one has enabled it again
)

// Notices returns all of them.
func Notices() []Notice {
	return []Notice{NoticeAdded, NoticeRemoved, NoticePassword, NoticeRecovery, NoticeAttempts, NoticeReused, NoticeLocked, NoticeDenied, NoticeDisabled, NoticeEnabled}
}

// How long it is of use to be told, and how often what strangers can bring about
// is told of one authenticator: they are not to fill anybody's mailbox.
const (
	noticeLife  = 24 * time.Hour
	noticeEvery = 24 * time.Hour
)

// completed tells what the completion of a step changes for the account's owner.
// Here and in failed is all that decides what people are told: steps only say
// what they are about.
func (x *exchange) completed(n *node, out Outcome) {
	kind, about := n.typ.Notice, n.typ.Authenticator
	if out.proof != nil && out.proof.Bound != "" {
		x.came = append(x.came, arrival{n, out.proof})
	}
	if len(out.removed) > 0 {
		kind, about = NoticeRemoved, out.removed[0].Type
	}
	if kind == "" && out.enrolled != "" {
		kind = NoticeAdded
	}
	if kind == "" || n.typ.Enrols && out.enrolled == "" {
		return
	}
	x.tell(n, kind, about)
}

// arrival is an authenticator that has come to the account with a proof.
type arrival struct {
	node  *node
	proof *Proof
}

// arrived makes those active whose proof the machine has taken, with the change that
// records it: nobody gets in by one that the trail and the owner have not heard of.
func (x *exchange) arrived() {
	for _, a := range x.came {
		id := a.proof.Evidence.Authenticator
		if !slices.ContainsFunc(x.r.State.Evidence, func(e assurance.Evidence) bool { return e.Authenticator == id }) {
			continue
		}
		x.enrolled = append(x.enrolled, id)
		x.events = append(x.events, Event{Type: EventBound, Step: a.node.def.ID, Reason: a.proof.Bound})
		x.tell(a.node, NoticeAdded, a.proof.Bound)
	}
	x.came = nil
}

// failed tells what a wrong answer says of who gives it. Nobody has proved to be
// there, perhaps: who watches the client learns nothing, and for a name that is
// not there as much is counted and stored.
func (x *exchange) failed(ctx context.Context, n *node, at reservation, reason string) error {
	var kind Notice
	switch {
	case at.last:
		x.events = append(x.events, Event{Type: EventLocked, Step: n.def.ID})
		kind = NoticeLocked
	case at.locked: // whoever crashed over the last attempt has told nobody
		kind = NoticeLocked
	case reason == reasonReplayed:
		kind = NoticeReused
	case at.fifth:
		kind = NoticeAttempts
	}
	if kind == "" || x.e.silent(kind) {
		return nil
	}
	key := x.e.budgetOf("notice\x00"+string(kind)+"\x00"+n.typ.Authenticator, whose(x.r))
	held, err := x.countFor(ctx, key, 1, noticeEvery)
	if err != nil || !held.IsZero() {
		return err
	}
	x.spent = append(x.spent, key)
	if !x.tell(n, kind, n.typ.Authenticator) {
		x.notices = append(x.notices, x.notice(kind, n.typ.Authenticator, Contact{})) // to nobody: it costs what another one does
	}
	return nil
}

// reasonReplayed is why steps reject a code that was used before.
const reasonReplayed = "replayed"

// silent says whether nobody is to be told.
func (e *Engine) silent(kind Notice) bool { return e.cfg.Outbox == nil || e.quiet[kind] }

// tell tells the owner of the account, at each of their addresses; false if they have none.
func (x *exchange) tell(n *node, kind Notice, about string) bool {
	if x.e.silent(kind) || len(x.w.account.Contacts) == 0 {
		return false
	}
	for _, to := range x.w.account.Contacts {
		m := x.notice(kind, about, to)
		if region := x.e.cfg.Budget.Region; region != nil {
			if _, err := region(m); err != nil {
				x.events = append(x.events, Event{Type: EventMessageDropped, Step: n.def.ID})
				continue
			}
		}
		x.notices = append(x.notices, m)
	}
	x.events = append(x.events, Event{Type: EventNotified, Step: n.def.ID, Reason: string(kind)})
	return true
}

func (x *exchange) notice(kind Notice, about string, to Contact) Message {
	return noticeOf(kind, about, to, x.r.Locale, x.w.now)
}

// noticeOf holds no secret and nothing that the client said, but for a language.
func noticeOf(kind Notice, about string, to Contact, locale string, now time.Time) Message {
	return Message{
		Channel: to.Channel, To: to.To, Template: string(kind), Locale: locale, Expires: now.Add(noticeLife),
		Args: map[string]string{"time": now.UTC().Format("2006-01-02 15:04 UTC"), "authenticator": about},
	}
}
