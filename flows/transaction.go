package flows

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the transaction of a start.
const (
	MaxTransaction      = 16  // members
	MaxTransactionValue = 256 // bytes of one
)

// Approval is a transaction that a person has signed: what they saw, and its hash.
type Approval struct {
	Step      string            `json:"step"`      // id of the step; the engine writes it
	Message   string            `json:"message"`   // id of the text
	Locale    string            `json:"locale"`    // of the text
	Text      string            `json:"text"`      // as it was shown, with the arguments in their places
	Arguments map[string]string `json:"arguments"` // what the client wanted approved
	Hash      string            `json:"hash"`      // see [NewApproval]
}

// NewApproval fills in the hash: the SHA-256, in base64url, of the JSON object
// with the members arguments, locale, message and text in the canonical form of RFC 8785.
func NewApproval(message, locale, text string, arguments map[string]string) (Approval, error) {
	a := Approval{Message: message, Locale: locale, Text: text, Arguments: maps.Clone(arguments)}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct { // in the order of their names, as encoding/json has those of maps
		Arguments map[string]string `json:"arguments"`
		Locale    string            `json:"locale"`
		Message   string            `json:"message"`
		Text      string            `json:"text"`
	}{arguments, locale, message, text})
	if err != nil {
		return Approval{}, fmt.Errorf("flows: approval: %w", err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	a.Hash = base64.RawURLEncoding.EncodeToString(sum[:])
	return a, nil
}

// shows refuses the transaction of a start that is not exactly what the flow's
// steps show, or that could be shown as something else than it is.
func (p *program) shows(transaction map[string]string) error {
	refused := &Problem{Kind: KindMalformed, Code: CodeMalformed, Detail: "The transaction is not what this flow shows."}
	names := slices.Compact(slices.Sorted(slices.Values(p.transaction)))
	if len(transaction) > MaxTransaction || !slices.Equal(names, slices.Sorted(maps.Keys(transaction))) {
		return refused
	}
	for _, value := range transaction {
		if !showable(value) {
			return refused
		}
	}
	return nil
}

// showable: one line of text that looks like what it is. Control characters,
// those that turn the direction of what follows, and those that nobody sees could
// make a person read something else than what they sign.
func showable(s string) bool {
	return strings.TrimSpace(s) == s && s != "" && len(s) <= MaxTransactionValue && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// approves holds an approval against the run: it is there if and only if the
// step has transactions signed, and is about this run's.
func (x *exchange) approves(n *node, a *Approval) error {
	if (n.typ.Transaction != nil) != (a != nil) {
		return fmt.Errorf("flows: step type %s: a proof with an approval that it cannot have, or without the one that it must", n.typ.Name)
	}
	if a == nil {
		return nil
	}
	for name, value := range a.Arguments {
		if was, ok := x.r.Transaction[name]; !ok || was != value {
			return fmt.Errorf("flows: step type %s approved another transaction than the run's", n.typ.Name)
		}
	}
	return nil
}
