package flowdefs_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
)

const spoken = `
flows:
  f:
    steps:
      - { id: p, type: password }
      - { id: m, type: message, with: { text: hello, arguments: { phone: "0800", name: us } } }
      - { fail: closed, if: "false" }
messages:
  en: { hello: "Call {phone}.", problem.closed: We are closed. }
  de: { hello: "Rufen Sie {phone} an, {name}, {phone}!" }
  de-CH: { problem.wrong_answer: Das war nüt. }
`

func TestTexts(t *testing.T) {
	t.Parallel()
	m := mustLoad(t, spoken).Messages
	arguments := map[string]string{"phone": "{name}", "name": "you"}
	for _, c := range []struct{ locale, id, want string }{
		{"en", "hello", "Call {name}."}, // what is put in is not looked at again
		{"de", "hello", "Rufen Sie {name} an, you, {name}!"},
		{"de-CH", "hello", "Rufen Sie {name} an, you, {name}!"}, // its parent's
		{"de-CH", "problem.wrong_answer", "Das war nüt."},
		{"de", "problem.wrong_answer", "Das war nicht richtig. Bitte versuchen Sie es noch einmal."}, // built in
		{"de", "problem.closed", "We are closed."},                                                   // the default's
		{"fr", "problem.wrong_answer", "That was not right. Please try again."},
	} {
		if got, ok := m.Text(c.locale, c.id, arguments); !ok || got != c.want {
			t.Errorf("%s in %s: %q, %v", c.id, c.locale, got, ok)
		}
	}
	if got, ok := m.Text("en", "nothing", nil); ok || got != "" {
		t.Errorf("a text for an id that nobody has: %q", got)
	}
}

func TestLocaleNegotiation(t *testing.T) {
	t.Parallel()
	m := mustLoad(t, spoken).Messages
	if diff := cmp.Diff([]string{"en", "de", "de-CH"}, m.Locales()); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		preferred []string
		want      string
	}{
		{nil, "en"},
		{[]string{""}, "en"},
		{[]string{"de"}, "de"},
		{[]string{"de-CH"}, "de-CH"},
		{[]string{"de-ch"}, "de-CH"},
		{[]string{"de-AT"}, "de"},
		{[]string{"de-CH-1996"}, "de-CH"},
		{[]string{"fr"}, "en"},
		{[]string{"fr, de;q=0.5"}, "de"},
		{[]string{"fr", "de"}, "de"}, // the run's first, then the browser's
		{[]string{"not a locale!", "de"}, "de"},
		{[]string{"*"}, "en"},
	} {
		if got := m.Match(c.preferred...); got != c.want {
			t.Errorf("%q: %s, want %s", c.preferred, got, c.want)
		}
	}
}

// Where only one language is spoken, it is for everybody.
func TestTheOnlyLocaleIsTheDefault(t *testing.T) {
	t.Parallel()
	m := mustLoad(t, `
flows: { f: { steps: [{ id: p, type: password }, { fail: closed, if: "false" }] } }
messages: { fr: { problem.closed: Fermé. } }`).Messages
	if got := m.Match("nl"); got != "fr" {
		t.Errorf("nl: %s", got)
	}
	if got, ok := m.Text("de", "problem.closed", nil); !ok || got != "Fermé." {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := m.Text("fr", "problem.throttled", map[string]string{"seconds": "5"}); !ok || got != "There were too many attempts. Please try again in 5 seconds." {
		t.Errorf("%q, %v", got, ok)
	}
}

func TestNoMessages(t *testing.T) {
	t.Parallel()
	var none *flowdefs.Messages
	if _, ok := none.Text("en", "problem.wrong_answer", nil); ok || none.Match("de") != "en" || none.Locales() != nil {
		t.Error("texts from nowhere")
	}
}

// Texts are spread over files as flows are; a mistake names both places.
func TestTextsOfSeveralFiles(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"a.yaml": {Data: []byte("flows: { f: { steps: [{ id: m, type: message, with: { text: hello } }] } }\nmessages: { en: { hello: Hi. } }\n")},
		"b.yaml": {Data: []byte("messages: { en: { problem.wrong_answer: No. }, de: { hello: Hallo. } }\n")},
	}
	set, err := flowdefs.Load(files, ".", catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := set.Messages.Text("en", "problem.wrong_answer", nil); got != "No." {
		t.Errorf("%q", got)
	}
	files["c.yaml"] = &fstest.MapFile{Data: []byte("messages: { de: { hello: Grüezi. } }\n")}
	_, err = flowdefs.Load(files, ".", catalogue{})
	want := "b.yaml:1:54: message \"hello\" is defined twice in de; the other is at c.yaml:1:19\n" +
		"c.yaml:1:19: message \"hello\" is defined twice in de; the other is at b.yaml:1:54"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// What flows show must be there, with what it needs; unless there are no texts at
// all: then the apps have them.
func TestShownMessages(t *testing.T) {
	t.Parallel()
	const flow = "flows: { f: { steps: [{ id: m, type: message, with: { text: hello, arguments: { phone: x } } }, { id: n, type: message, with: { text: hello } }] } }\n"
	for texts, want := range map[string]string{
		"":                                 "",
		`messages: { en: { hello: Hi. } }`: "",
		`messages: { en: { problem.wrong_answer: No. } }`: "bad.yaml:1:61: no text for the message \"hello\" in en\n" +
			"bad.yaml:1:135: no text for the message \"hello\" in en",
		`messages: { en: { helo: Hi. } }`: "bad.yaml:1:61: no text for the message \"hello\" in en; did you mean \"helo\"?\n" +
			"bad.yaml:1:135: no text for the message \"hello\" in en; did you mean \"helo\"?",
		`messages: { en: { hello: Hi. }, de: { hello: "{phone} {phon}" } }`: "bad.yaml:2:39: message \"hello\": no argument \"phon\" is given by the step at bad.yaml:1:135\n" +
			"bad.yaml:2:39: message \"hello\": no argument \"phon\" is given by the step at bad.yaml:1:61; did you mean \"phone\"?\n" +
			"bad.yaml:2:39: message \"hello\": no argument \"phone\" is given by the step at bad.yaml:1:135",
	} {
		_, err := flowdefs.Load(fstest.MapFS{"bad.yaml": {Data: []byte(flow + texts)}}, ".", catalogue{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", texts, diff)
		}
	}
}

// A use inside a subflow is as good as one in a flow.
func TestMessagesOfSubflows(t *testing.T) {
	t.Parallel()
	const sub = `
flows: { f: { steps: [{ id: a, use: s, with: { text: one } }, { id: b, use: s, with: { text: two } }] } }
subflows: { s: { parameters: { text: string }, steps: [{ id: m, type: message, with: { text: { param: text } } }] } }
messages: { en: { one: One.`
	if _, err := load(sub + ", two: Two. } }"); err != nil {
		t.Error(err)
	}
	if _, err := load(sub + " } }"); !errors.As(err, new(flowdefs.Problems)) {
		t.Errorf("a subflow shows what has no text: %v", err)
	}
}

// Texts are no part of what a run is pinned to.
func TestTextsAreNotPinned(t *testing.T) {
	t.Parallel()
	const flow = "flows: { f: { steps: [{ id: m, type: message, with: { text: hello } }] } }\n"
	hashes := []string{
		mustLoad(t, flow).Flows["f"].Hash,
		mustLoad(t, flow+"messages: { en: { hello: Hi. } }").Flows["f"].Hash,
		mustLoad(t, flow+"messages: { en: { hello: Hello. } }").Flows["f"].Hash,
	}
	if hashes[0] != hashes[1] || hashes[1] != hashes[2] {
		t.Errorf("hashes %q", hashes)
	}
}
