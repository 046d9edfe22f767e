package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
)

// bodyRule says what body a call takes.
type bodyRule int

const (
	bodyNone     bodyRule = iota // none
	bodyEmpty                    // none, or {}
	bodyRequired                 // one JSON object
)

// request is one call as far as HTTP is concerned.
type request struct {
	caller flows.Caller
	handle flows.Secret // or the secret of a session
	stepID string
	turn   int
	wait   time.Duration // for a change; 0: not at all
	body   []byte
	start  flows.StartRequest // of a call that starts a run
}

// read checks everything about a request that can be checked without the
// engine. The proof comes last: it is used up by being looked at.
func (a *api) read(c *gin.Context, op operation) (*request, *failure) {
	q := &request{stepID: c.Param("stepId")}
	q.caller.RequestID, q.caller.Network, q.caller.Origin = entryOf(c).id, networkOf(c.Request), originOf(c)
	steps := []func(*gin.Context, operation) *failure{q.readHandle, q.readQuery, q.readIdempotencyKey, q.readPreference}
	for _, step := range steps {
		if f := step(c, op); f != nil {
			return q, f
		}
	}
	if f := q.readBody(c, op, a.cfg.MaxBody); f != nil {
		return q, f
	}
	return q, a.readProof(c, op, q)
}

func (q *request) readHandle(c *gin.Context, op operation) *failure {
	if op.scheme == "" {
		return nil
	}
	handle, ok := parseSecret(c.Request.Header["Authorization"], op.scheme)
	switch {
	case ok:
		q.handle = handle
		return nil
	case op.scheme == schemeFlow:
		return refuseHandle()
	default:
		return refuse(http.StatusBadRequest, flows.CodeMalformed, "Authorization must be Session and the session's secret.")
	}
}

// parseSecret reads the one Authorization of a request. A handle, or the secret
// of a session, is 32 bytes in canonical base64url: there is one spelling.
func parseSecret(headers []string, want string) (flows.Secret, bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, want) || len(token) != base64.RawURLEncoding.EncodedLen(32) {
		return "", false
	}
	// Strict alone would let line breaks pass; the length of the result tells.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 32 {
		return "", false
	}
	return flows.Secret(token), true
}

func (q *request) readQuery(c *gin.Context, op operation) *failure {
	raw := c.Request.URL.RawQuery
	if !op.turn {
		if raw != "" {
			return refuse(http.StatusBadRequest, flows.CodeMalformed, "This call takes no query parameters.")
		}
		return nil
	}
	turn, ok := parseTurn(raw)
	if !ok {
		return refuse(http.StatusBadRequest, flows.CodeMalformed, "The query must be turn, once, with a number as the link had it.")
	}
	q.turn = turn
	return nil
}

// parseTurn reads "turn=N" in its only spelling.
func parseTurn(query string) (int, bool) {
	digits, ok := strings.CutPrefix(query, "turn=")
	if !ok || len(digits) == 0 || len(digits) > 9 || digits[0] == '0' {
		return 0, false
	}
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
	}
	turn, err := strconv.Atoi(digits)
	return turn, err == nil
}

func (q *request) readIdempotencyKey(c *gin.Context, _ operation) *failure {
	headers := c.Request.Header["Idempotency-Key"]
	if len(headers) == 0 {
		return nil
	}
	if len(headers) > 1 || !isIdempotencyKey(headers[0]) {
		return refuse(http.StatusBadRequest, flows.CodeMalformed, "An Idempotency-Key is 22 to 128 characters of base64url, at least 128 random bits.")
	}
	q.caller.IdempotencyKey = headers[0]
	return nil
}

// isIdempotencyKey demands room for 128 bits: at the start of a run the key is
// a secret that the kept answer is sealed under.
func isIdempotencyKey(s string) bool {
	if len(s) < 22 || len(s) > 128 {
		return false
	}
	for _, b := range []byte(s) {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !letter && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

func (q *request) readBody(c *gin.Context, op operation, limit int64) *failure {
	r := c.Request
	if op.body == bodyRequired {
		if f := checkMedia(r.Header); f != nil {
			return f
		}
	}
	prefix := r.Method + " " + r.URL.EscapedPath() + "?" + r.URL.RawQuery + "\n"
	whole, f := readAll(c.Writer, r, prefix, limit)
	if f != nil {
		return f
	}
	q.caller.Body, q.body = whole, whole[len(prefix):]
	switch {
	case op.body == bodyRequired:
		if err := q.parse(op); err != nil {
			return refuse(http.StatusBadRequest, flows.CodeMalformed, "The body is not the JSON object that this call takes.")
		}
	case len(q.body) == 0:
	case op.body == bodyEmpty:
		if f := checkMedia(r.Header); f != nil {
			return f
		}
		if flows.DecodeStrict(q.body, &struct{}{}) != nil {
			return refuse(http.StatusBadRequest, flows.CodeMalformed, "This call takes an empty body or an empty object.")
		}
	default:
		return refuse(http.StatusBadRequest, flows.CodeMalformed, "This call takes no body.")
	}
	return nil
}

// parse reads a start; an answer is only checked to be one object that all
// parsers read alike, since its members are the step's affair.
func (q *request) parse(op operation) (err error) {
	if op.scheme != "" {
		return flows.CheckJSON(q.body)
	}
	q.start, err = parseStart(q.body)
	return err
}

// checkMedia accepts application/json, in UTF-8 and not compressed.
func checkMedia(h http.Header) *failure {
	f := refuse(http.StatusUnsupportedMediaType, CodeMediaType, "The body must be application/json in UTF-8, not encoded.")
	values := h["Content-Type"]
	if len(values) != 1 || len(h["Content-Encoding"]) > 0 {
		return f
	}
	if values[0] == "application/json" {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(values[0])
	if err != nil || media != "application/json" {
		return f
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return f
		}
	}
	return nil
}

// readAll reads the body behind prefix into one piece of memory.
func readAll(w http.ResponseWriter, r *http.Request, prefix string, limit int64) ([]byte, *failure) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "The body is too large.")
	tooLarge.close = true
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	size := max(int(r.ContentLength), 0) + len(prefix) + bytes.MinRead
	buf := bytes.NewBuffer(make([]byte, 0, size))
	buf.WriteString(prefix)
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil && !errors.Is(err, io.EOF):
		f := refuse(http.StatusBadRequest, flows.CodeMalformed, "The body did not arrive.")
		f.close = true
		return nil, f
	}
	return buf.Bytes(), nil
}

// readProof verifies the proof if there is one. Whether one is needed, and by
// which key, is the engine's affair.
func (a *api) readProof(c *gin.Context, op operation, q *request) *failure {
	proofs := c.Request.Header["Dpop"]
	if len(proofs) == 0 {
		return nil
	}
	r := c.Request
	key, err := a.cfg.DPoP.Verify(r.Context(), proofs, r.Method, a.cfg.BaseURL+r.URL.EscapedPath(), "")
	switch {
	case err == nil && key != "":
		q.caller.Key = key
		return nil
	case err == nil:
		return failureOf(errors.New("httpapi: a proof without a key"))
	case !errors.Is(err, dpop.ErrProof) && !errors.Is(err, flows.ErrTaken):
		return unavailable(err)
	case op.scheme == schemeFlow:
		f := refuseHandle()
		f.reason = flows.CodeProofRequired
		return f
	default:
		return refuse(http.StatusBadRequest, flows.CodeProofRequired, "The DPoP proof is not acceptable.")
	}
}
