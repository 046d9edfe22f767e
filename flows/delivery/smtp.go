package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

// The ways in which a connection to a mail server is protected.
const (
	StartTLS    = "starttls" // RFC 3207, required
	ImplicitTLS = "implicit" // RFC 8314 §3.3
	Plain       = "none"     // to this machine only
)

// SMTPConfig says which mail server takes the mails (RFC 5321, RFC 6409).
type SMTPConfig struct {
	Address  string // host:port
	TLS      string // StartTLS, ImplicitTLS or Plain
	Username string // "": no authentication
	Password string
	From     string
	Roots    *x509.CertPool   // nil: the system's
	Now      func() time.Time // required
}

type smtpSender struct {
	cfg  SMTPConfig
	host string
	from string
}

// NewSMTP returns a sender over SMTP. Each mail has a connection of its own.
func NewSMTP(cfg SMTPConfig) (Sender, error) {
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("delivery: smtp: %q is not HOST:PORT", cfg.Address)
	}
	from, err := account.ParseEmail(cfg.From)
	if err != nil {
		return nil, fmt.Errorf("delivery: smtp: from: %w", err)
	}
	switch {
	case cfg.Now == nil:
		return nil, errors.New("delivery: smtp: Now is required")
	case cfg.TLS != StartTLS && cfg.TLS != ImplicitTLS && cfg.TLS != Plain:
		return nil, fmt.Errorf("delivery: smtp: tls: %q is none of %s, %s, %s", cfg.TLS, StartTLS, ImplicitTLS, Plain)
	case cfg.TLS == Plain && !loopback(host):
		return nil, fmt.Errorf("delivery: smtp: tls: %s is for a server on this machine, which %s is not", Plain, host)
	case (cfg.Username == "") != (cfg.Password == ""):
		return nil, errors.New("delivery: smtp: a user name without a password, or the reverse")
	}
	return &smtpSender{cfg, host, from}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send hands the mail to the server.
func (s *smtpSender) Send(ctx context.Context, m Mail) error {
	to, err := account.ParseEmail(m.To)
	if err != nil {
		return fmt.Errorf("%w: no address", ErrRefused)
	}
	text, err := s.write(m, to)
	if err != nil {
		return err
	}
	return discreet(s.talk(ctx, to, text))
}

// final tells refusals of this very mail for good (RFC 5321 §4.2.1) from what
// another try may overcome: a server that does not let us in may do so once
// somebody has mended its password or ours.
func final(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return fmt.Errorf("%w: the mail server answers %d", ErrRefused, reply.Code)
	}
	return err
}

// discreet passes on the code of what the server says, and not its words: they repeat addresses.
func discreet(err error) error {
	var reply *textproto.Error
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		return err
	case errors.As(err, &reply):
		return fmt.Errorf("delivery: the mail server answers %d", reply.Code)
	}
	return fmt.Errorf("delivery: smtp: %w", err)
}

func (s *smtpSender) talk(ctx context.Context, to string, text []byte) (err error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer c.Close() //nolint:errcheck // Quit has said what there is to say
	if s.cfg.TLS == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the server offers no STARTTLS")
		}
		if err := c.StartTLS(s.tls()); err != nil {
			return err
		}
	}
	if s.cfg.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", s.cfg.Username, s.cfg.Password, s.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(s.from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return final(err)
	}
	w, err := c.Data()
	if err != nil {
		return final(err)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return final(err)
	}
	_ = c.Quit() // the server has taken it
	return nil
}

func (s *smtpSender) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	if s.cfg.TLS == ImplicitTLS {
		secured := tls.Client(conn, s.tls())
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secured, nil
	}
	return conn, nil
}

func (s *smtpSender) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
}

// write makes the mail (RFC 5322). Its Message-ID is the same when it is sent
// again, so that a mail server can tell.
func (s *smtpSender) write(m Mail, to string) ([]byte, error) {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, oneLine(value)) }
	header("From", s.from)
	header("To", to)
	header("Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Subject)))
	header("Date", s.cfg.Now().UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+m.ID+"@"+s.from[strings.LastIndexByte(s.from, '@')+1:]+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834 §5: nobody is to answer it
	header("MIME-Version", "1.0")
	header("Content-Language", m.Locale)
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	_, err := body.Write([]byte(strings.ReplaceAll(m.Text, "\n", "\r\n")))
	return b.Bytes(), errors.Join(err, body.Close())
}
