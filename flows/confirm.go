package flows

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Confirmer is implemented by the steps of types that send links. Who opens a
// link sees a page that says who asks for what, and confirms or denies it.
//
// Neither completes anything: a link may be opened by somebody else than who
// began the run, or by a program that looks for viruses. What is confirmed only
// changes the prompt; the step completes in the client's own request, with what
// only the page shows or only the link holds. What is denied is left, by the exit
// "denied", as soon as the client comes again.
type Confirmer interface {
	// Confirmed returns the prompt as it is from now on, and what the page shows to
	// be typed into the client. The link is spent. If its token is not that of this
	// visit, or is good no more: [ErrNotFound].
	Confirmed(ctx context.Context, v *Visit, token Secret) (p Prompt, shown Secret, err error)
}

// mailedLink is the link that the step which waits has sent last.
type mailedLink struct {
	Alias   Alias     `json:"alias"`
	Expires time.Time `json:"expires"`
}

// alias is what the page finds the run by.
func (l *mailedLink) alias() []*Alias {
	if l == nil {
		return nil
	}
	return []*Alias{&l.Alias}
}

const purposeMail = "mail"

// Link makes the link that the message of a step's visit holds, and the token at
// its end: 256 random bits, of which the run keeps a hash. It is for Enter of a
// step whose type says that it sends links. The one before it is void.
func (v *Visit) Link(expires time.Time) (uri string, token Secret, err error) {
	if v.linkURL == "" {
		return "", "", fmt.Errorf("%w: there is no page that a link could lead to", ErrUnavailable)
	}
	token, alias := newPageSecret(purposeMail)
	*v.link = &mailedLink{*alias, expires}
	return v.linkURL + "/" + string(token), token, nil
}

// LinkPage is what the page of a link shows.
type LinkPage struct {
	Client  string    // who asks
	Locale  string    // that the client said
	Started time.Time // when the run began
	Code    Secret    // to be typed into the client, once confirmed
}

// MailedLink returns the page of a link that was sent. It changes nothing: mail
// scanners and previews open links before people do. A link that is not good,
// whatever is wrong with it, is a [Problem] of KindNotFound.
func (e *Engine) MailedLink(ctx context.Context, link Secret, requestID string) (LinkPage, error) {
	x, err := e.mailed(ctx, link, requestID)
	if err != nil {
		return LinkPage{}, e.problem(ctx, Caller{RequestID: requestID}, nil, err)
	}
	return x.linkPage(), nil
}

// ConfirmLink spends a link for its client. The page shows what has to be typed there.
func (e *Engine) ConfirmLink(ctx context.Context, link Secret, requestID string) (LinkPage, error) {
	var page LinkPage
	err := e.onLink(ctx, link, requestID, func(ctx context.Context, x *exchange) error {
		page = x.linkPage()
		n := x.p.current(&x.r.State)
		c := n.step.(Confirmer) // of a type that sends links: see [compiler.bind]
		prompt, shown, err := c.Confirmed(ctx, x.visit(n, x.r.State.Turn+1), link)
		if errors.Is(err, ErrNotFound) {
			return notFound(err)
		}
		if err != nil {
			return err
		}
		page.Code = shown
		data, err := promptData(&prompt)
		if err != nil {
			return err
		}
		return x.drive(ctx, signal{kind: sigElsewhere, data: data})
	})
	if err != nil {
		return LinkPage{}, err
	}
	return page, nil
}

// DenyLink spends a link against its client: the step is refused for good, and
// the owner of the account is told that somebody tried.
func (e *Engine) DenyLink(ctx context.Context, link Secret, requestID string) (LinkPage, error) {
	var page LinkPage
	err := e.onLink(ctx, link, requestID, func(ctx context.Context, x *exchange) error {
		page = x.linkPage()
		n := x.p.current(&x.r.State)
		x.tell(n, NoticeDenied, n.typ.Authenticator)
		return x.drive(ctx, signal{kind: sigElsewhere, name: exitDenied})
	})
	return page, err
}

// linkTries is how often a page's request is tried when the client's own come
// between: they are bounded by attempts, and must not keep anybody from denying.
const linkTries = 10

// onLink does something to the run of a link, and stores it. Of two at once, one
// finds the link spent.
func (e *Engine) onLink(ctx context.Context, link Secret, requestID string, do func(context.Context, *exchange) error) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	var err error
	for range linkTries {
		var x *exchange
		if x, err = e.mailed(ctx, link, requestID); err == nil {
			err = do(ctx, x)
		}
		if err == nil {
			x.stamp()
			err = x.store(ctx)
		}
		if err == nil {
			err = e.recordEffects(ctx, x.r)
		}
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	return e.problem(ctx, Caller{RequestID: requestID}, nil, err)
}

// mailed finds the run of a link. Whatever is not right, the answer is one and the same.
func (e *Engine) mailed(ctx context.Context, link Secret, requestID string) (*exchange, error) {
	alias, ok := parsePageSecret(purposeMail, link)
	if !ok {
		return nil, notFound(nil)
	}
	x, err := e.elsewhere(ctx, alias, requestID)
	if err != nil {
		return nil, err
	}
	s := &x.r.State
	if s.Link == nil || s.Link.Alias != alias || !x.w.now.Before(s.Link.Expires) || x.overdue() ||
		s.Subject != "" && x.w.account.Status != AccountActive {
		return nil, notFound(nil)
	}
	return x, nil
}

func (x *exchange) linkPage() LinkPage {
	return LinkPage{Client: x.client.ID, Locale: x.r.Locale, Started: x.r.Started}
}
