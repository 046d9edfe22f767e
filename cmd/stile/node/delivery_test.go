package node_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
)

const sendingFlows = `
flows:
  mailed: { steps: [{ id: who, type: identify }, { id: pick, choose: [{ id: mail, type: email_code }, { id: password, type: password }] }] }
  local: { kind: recovery, steps: [{ id: who, type: identify }, { id: mail, type: email_code }] }
  plain: { steps: [{ id: password, type: password }] }
clients:
  bench: { flows: [mailed, local, plain], dpop: optional }
`

// delivering makes a configuration of flows that send.
func delivering(t *testing.T, delivery string) config.Config {
	t.Helper()
	cfg := folder(t, "store: { type: memory }\ndelivery: "+delivery+"\n")
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), sendingFlows)
	return cfg
}

// ask starts the flow that mails Jane a code.
func ask(t *testing.T, n *node.Node) int {
	t.Helper()
	r, err := n.Base.Registrar("Stile", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(t.Context(), users.Person{Login: "jane", Email: "jane@bank.example"}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","flow":"local","loginHint":"jane","locale":"fr"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// What was asked for before a node stops is written out, for its owner alone, in one's own words.
func TestMessagesInAFile(t *testing.T) {
	t.Parallel()
	texts := t.TempDir()
	write(t, filepath.Join(texts, "email_code.fr.txt"), "Code\n\nVotre code: {code}\n")
	cfg := delivering(t, "{ by: file, texts: "+texts+" }")
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now, Unproved: true})
	if err != nil {
		t.Fatal(err)
	}
	if status := ask(t, n); status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if err := n.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(cfg.Delivery.File)
	if err != nil || !strings.Contains(string(text), "To: jane@bank.example\nSubject: Code\n\nVotre code: ") {
		t.Errorf("%v\n%s", err, text)
	}
	if info, err := os.Stat(cfg.Delivery.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A console is for development.
func TestMessagesOnAConsole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n, err := node.Start(t.Context(), delivering(t, "{ by: console }"), node.Options{Logger: zap.NewNop(), Now: time.Now, Stdout: &out, Unproved: true})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, n)
	if err := n.Shutdown(t.Context()); err != nil || !strings.Contains(out.String(), "Your code: ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// Whoever has flows that send and nothing to send with is told at the start, and people get 503.
func TestNothingCarriesMessages(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	n, err := node.Start(t.Context(), delivering(t, "{}"), node.Options{Logger: zap.New(core), Now: time.Now, Unproved: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if status := ask(t, n); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
	lines := logs.FilterMessageSnippet("nothing carries messages").All()
	if len(lines) != 1 || len(lines[0].ContextMap()["flows"].([]any)) != 2 {
		t.Errorf("%+v", lines)
	}
}

// What can never work does not start.
func TestDeliveryThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no such texts":      "{ by: console, texts: " + filepath.Join(t.TempDir(), "email_code.xx.yy") + " }",
		"a password unset":   `{ by: smtp, smtp: { address: "mail.example:25", from: a@b.example, username: u, password: { env: STILE_TEST_UNSET } } }`,
		"mail in the clear":  `{ by: smtp, smtp: { address: "mail.example:25", from: a@b.example, tls: none } }`,
		"a short secret":     `{ by: webhook, webhook: { url: "https://a.example/", secret: { file: /dev/null } } }`,
		"a call in the open": `{ by: webhook, webhook: { url: "http://a.example/", secret: { env: PATH } } }`,
		"no place for files": "{ by: file, file: " + filepath.Join(t.TempDir(), "none", "none.txt") + " }",
	} {
		n, err := node.Start(t.Context(), delivering(t, text), node.Options{Logger: zap.NewNop(), Now: time.Now, Unproved: true})
		if err == nil {
			t.Errorf("%s: starts", name)
			_ = n.Shutdown(t.Context())
		}
	}
}
