package delivery_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/stile-auth/stile/flows/delivery"
)

func contains(text, s string) bool { return strings.Contains(text, s) }

func letter() delivery.Mail {
	return delivery.Mail{
		ID: "run.1.0", Channel: "email", To: "jane@bank.example", Template: "email_code", Locale: "de",
		Subject: "Ihr Code für heute: 271828", Text: "Grüße!\n.\nDer Code lautet 271828.\n", Args: map[string]string{"code": "271828"},
		Expires: time.Date(2026, 3, 1, 12, 10, 0, 0, time.UTC),
	}
}

func at() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// postOffice is a mail server.
type postOffice struct {
	mu     sync.Mutex
	got    []envelope
	refuse error // what it says to a recipient
}

type envelope struct {
	from, to, text string
	user           string
	secured        bool
}

func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secured := c.TLSConnectionState()
	return &counter{office: p, envelope: envelope{secured: secured}}, nil
}

func (p *postOffice) all() []envelope { p.mu.Lock(); defer p.mu.Unlock(); return p.got }

type counter struct {
	office *postOffice
	envelope
}

func (c *counter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *counter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "secret" {
			return errors.New("no")
		}
		c.user = user
		return nil
	}), nil
}

func (c *counter) Mail(from string, _ *smtp.MailOptions) error { c.from = from; return nil }

func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error { c.to = to; return c.office.refuse }

func (c *counter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	c.text = string(text)
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	c.office.got = append(c.office.got, c.envelope)
	return err
}

func (*counter) Reset() {}

func (*counter) Logout() error { return nil }

// serve starts a mail server, and returns its address and what its certificate is checked against.
func serve(t *testing.T, p *postOffice, implicit, secured bool) (string, *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, which is good for 127.0.0.1
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	s := smtp.NewServer(p)
	s.Domain = "mail.example"
	if secured {
		s.TLSConfig = &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	}
	s.AllowInsecureAuth = !secured
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return address, roots
}

func post(t *testing.T, cfg delivery.SMTPConfig, m delivery.Mail) error {
	t.Helper()
	cfg.From, cfg.Now = "codes@stile.example", at
	s, err := delivery.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Send(ctx, m)
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	for _, way := range []string{delivery.StartTLS, delivery.ImplicitTLS, delivery.Plain} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			office := &postOffice{}
			address, roots := serve(t, office, way == delivery.ImplicitTLS, way != delivery.Plain)
			err := post(t, delivery.SMTPConfig{Address: address, TLS: way, Roots: roots, Username: "stile", Password: "secret"}, letter())
			if err != nil || len(office.all()) != 1 {
				t.Fatalf("%v, %d mails", err, len(office.all()))
			}
			e := office.all()[0]
			if e.from != "codes@stile.example" || e.to != "jane@bank.example" || e.user != "stile" || e.secured != (way != delivery.Plain) {
				t.Errorf("%+v", e)
			}
			readable(t, e.text)
		})
	}
}

// readable reads the mail as a mail program does.
func readable(t *testing.T, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != letter().Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != letter().Text {
		t.Errorf("body %q, %v", body, err)
	}
	for name, want := range map[string]string{
		"From": "codes@stile.example", "To": "jane@bank.example", "Message-Id": "<run.1.0@stile.example>", "Auto-Submitted": "auto-generated",
		"Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Content-Type": "text/plain; charset=utf-8", "Content-Language": "de",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A server that cannot prove who it is, or protects nothing, gets no mail and no password.
func TestSMTPInsists(t *testing.T) {
	t.Parallel()
	office := &postOffice{}
	address, _ := serve(t, office, false, true)
	if err := post(t, delivery.SMTPConfig{Address: address, TLS: delivery.StartTLS}, letter()); err == nil || errors.Is(err, delivery.ErrRefused) {
		t.Errorf("an unknown certificate: %v", err)
	}
	bare, roots := serve(t, office, false, false)
	if err := post(t, delivery.SMTPConfig{Address: bare, TLS: delivery.StartTLS, Roots: roots}, letter()); err == nil || errors.Is(err, delivery.ErrRefused) {
		t.Errorf("no STARTTLS: %v", err)
	}
	if n := len(office.all()); n != 0 {
		t.Errorf("%d mails", n)
	}
	for _, cfg := range []delivery.SMTPConfig{
		{Address: "mail.example:25", TLS: delivery.Plain, From: "a@b.example", Now: at},
		{Address: "mail.example:25", TLS: "", From: "a@b.example", Now: at},
		{Address: "mail.example", TLS: delivery.StartTLS, From: "a@b.example", Now: at},
		{Address: "mail.example:587", TLS: delivery.StartTLS, From: "a@b.example\r\nBcc: x@y.example", Now: at},
		{Address: "mail.example:587", TLS: delivery.StartTLS, From: "a@b.example", Username: "x", Now: at},
		{Address: "mail.example:587", TLS: delivery.StartTLS, From: "a@b.example"},
	} {
		if _, err := delivery.NewSMTP(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// T-67: nothing that comes from outside becomes a header, or another recipient.
func TestSMTPInjection(t *testing.T) {
	t.Parallel()
	office := &postOffice{}
	address, _ := serve(t, office, false, false)
	cfg := delivery.SMTPConfig{Address: address, TLS: delivery.Plain}
	m := letter()
	m.Subject, m.Locale, m.ID = "Hello\r\nBcc: eve@evil.example\r\n\r\n", "de\r\nBcc: eve@evil.example", "x\r\nBcc: eve@evil.example"
	if err := post(t, cfg, m); err != nil {
		t.Fatal(err)
	}
	read, err := mail.ReadMessage(strings.NewReader(office.all()[0].text))
	if err != nil || read.Header.Get("Bcc") != "" {
		t.Errorf("%v: %v", err, read)
	}
	m = letter()
	for _, to := range []string{"jane@bank.example\r\nRCPT TO:<eve@evil.example>", "jane@bank.example, eve@evil.example", "", "jane"} {
		m.To = to
		if err := post(t, cfg, m); !errors.Is(err, delivery.ErrRefused) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if n := len(office.all()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// A refusal for good is told from one for now, and neither repeats what the server says.
func TestSMTPRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{550: true, 451: false} {
		office := &postOffice{refuse: &smtp.SMTPError{Code: code, Message: "jane@bank.example is not here"}}
		address, _ := serve(t, office, false, false)
		err := post(t, delivery.SMTPConfig{Address: address, TLS: delivery.Plain}, letter())
		if err == nil || errors.Is(err, delivery.ErrRefused) != want || strings.Contains(err.Error(), "jane") {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// A wrong password is about us, not about the mail: it is sent once that is mended.
func TestSMTPWrongPassword(t *testing.T) {
	t.Parallel()
	address, roots := serve(t, &postOffice{}, false, true)
	err := post(t, delivery.SMTPConfig{Address: address, TLS: delivery.StartTLS, Roots: roots, Username: "stile", Password: "wrong"}, letter())
	if err == nil || errors.Is(err, delivery.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 32))
	status, calls := http.StatusNoContent, 0
	var body []byte
	var head http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		head = r.Header
		calls++
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	s, err := delivery.NewWebhook(delivery.WebhookConfig{URL: server.URL + "/mail?token=abc", Secret: secret, Now: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.%s", at().Unix(), body)
	if want := fmt.Sprintf("t=%d,v1=%s", at().Unix(), hex.EncodeToString(mac.Sum(nil))); head.Get("Stile-Signature") != want {
		t.Errorf("signature %q", head.Get("Stile-Signature"))
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || got["to"] != "jane@bank.example" || got["id"] != "run.1.0" || head.Get("Idempotency-Key") != "run.1.0" {
		t.Errorf("%v, %s", err, body)
	}
	for code, want := range map[int]bool{302: false, 400: true, 401: false, 403: false, 404: false, 408: false, 410: true, 413: true, 422: true, 429: false, 500: false} {
		status = code
		if err := s.Send(t.Context(), letter()); err == nil || errors.Is(err, delivery.ErrRefused) != want {
			t.Errorf("%d: %v", code, err)
		}
	}
	if calls != 12 {
		t.Errorf("%d calls for twelve messages", calls)
	}
	server.Close()
	if err := s.Send(t.Context(), letter()); err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("got %v", err)
	}
	for _, cfg := range []delivery.WebhookConfig{
		{URL: "http://mail.example/", Secret: secret, Now: at},
		{URL: "https://u:p@mail.example/", Secret: secret, Now: at},
		{URL: "https://mail.example/#x", Secret: secret, Now: at},
		{URL: "https://mail.example/", Secret: secret[:31], Now: at},
		{URL: "mail", Secret: secret, Now: at},
		{URL: "https://mail.example/", Secret: secret},
	} {
		if _, err := delivery.NewWebhook(cfg); err == nil {
			t.Errorf("%s is taken", cfg.URL)
		}
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := delivery.NewWriter(&out).Send(t.Context(), letter()); err != nil || !strings.Contains(out.String(), "271828") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
