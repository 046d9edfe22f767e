package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// DocumentConfig is what a description of the API says beyond what is always so.
type DocumentConfig struct {
	Server    string   // base URL; may be empty
	Prompts   []Prompt // several of one code become one; none: the API is described without them
	WellKnown []string // paths of further documents
}

// Document returns the description of the API in OpenAPI 3.1. It fails if the
// data or the answer of a prompt is not JSON.
func Document(cfg DocumentConfig) (json.RawMessage, error) {
	schemas := schemasOf()
	answers, err := addPrompts(schemas, cfg.Prompts)
	if err != nil {
		return nil, err
	}
	paths := member{}
	for _, c := range append(calls(), wellKnown(cfg.WellKnown)...) {
		path, ok := paths[c.path].(member)
		if !ok {
			path = member{}
			paths[c.path] = path
		}
		path[strings.ToLower(c.method)] = c.operation(answers, cfg.Prompts)
	}
	document := member{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": member{
			"title": "Stile", "version": "1",
			"description": "Multi-step authentication flows. Start a run, do what nextStep asks until there is a result.",
		},
		"paths": paths,
		"components": member{
			"schemas": schemas, "securitySchemes": securitySchemes(), "responses": problemResponses(), "headers": headers(),
		},
	}
	if cfg.Server != "" {
		document["servers"] = []any{member{"url": cfg.Server}}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("httpapi: description: %w", err)
	}
	return text, nil
}

// describe makes the handler of the description; it copies what was made at the start.
func (a *api) describe() (gin.HandlerFunc, error) {
	text, err := Document(DocumentConfig{
		Server: a.cfg.BaseURL, Prompts: Prompts(a.cfg.Steps), WellKnown: slices.Sorted(maps.Keys(a.cfg.WellKnown)),
	})
	return func(c *gin.Context) { a.send(c, http.StatusOK, mediaJSON, text) }, err
}

// member is an object of the document.
type member = map[string]any

func refTo(name string) member { return member{"$ref": "#/components/schemas/" + name} }

// described is one operation of the API.
type described struct {
	method, path, id, summary string

	scheme   string // of the Authorization; "": none
	key      bool   // takes a DPoP proof and an Idempotency-Key
	turn     bool
	wait     bool
	body     string // schema of the body; "answers": those of the prompts; "": none
	optional bool   // the body is
	status   int
	nothing  bool   // there may be nothing to say: 204
	media    string // of success; "": JSON
	result   string // schema of success
	problems []int
}

// calls are all routes that are always there.
func calls() []described {
	start := []int{400, 401, 403, 409, 413, 415, 422, 429, 500, 503}
	show := []int{400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503}
	act := []int{400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 500, 503}
	return []described{
		{method: "POST", path: "/v1/flows", id: "start", summary: "Start a run.", key: true, body: "Start", status: 201, result: "View", problems: start},
		{method: "GET", path: "/v1/flow", id: "show", summary: "The current view.", scheme: schemeFlow, key: true, wait: true, status: 200, result: "View", problems: show},
		{method: "DELETE", path: "/v1/flow", id: "cancel", summary: "Cancel the run.", scheme: schemeFlow, key: true, status: 200, result: "View", problems: show},
		{method: "GET", path: "/v1/flow/events", id: "events", summary: "Every view from now on, as server-sent events: view, whose data is a View, and problem.", scheme: schemeFlow, key: true, status: 200, media: "text/event-stream", problems: show},
		{method: "POST", path: "/v1/flow/steps/{stepId}", id: "answer", summary: "Answer the current step, as an action of nextStep says.", scheme: schemeFlow, key: true, turn: true, body: "answers", status: 200, result: "View", problems: act},
		{method: "POST", path: "/v1/flow/activate", id: "activate", summary: "Let an optional later step run.", scheme: schemeFlow, key: true, turn: true, body: "Activate", status: 200, result: "View", problems: act},
		{method: "POST", path: "/v1/flow/back", id: "back", summary: "Return to the previous prompt.", scheme: schemeFlow, key: true, turn: true, body: "Empty", optional: true, status: 200, result: "View", problems: act},
		{method: "POST", path: "/v1/flow/resend", id: "resend", summary: "Send once more what the current step has sent.", scheme: schemeFlow, key: true, turn: true, body: "Empty", optional: true, status: 200, result: "View", problems: act},
		{method: "POST", path: "/v1/flow/hand_over", id: "handOver", summary: "A link to the page that draws what the client cannot draw.", scheme: schemeFlow, key: true, turn: true, body: "Empty", optional: true, status: 200, result: "View", problems: act},
		{method: "POST", path: "/v1/flow/restart", id: "restart", summary: "A new run of the same flow.", scheme: schemeFlow, key: true, turn: true, body: "Empty", optional: true, status: 201, result: "View", problems: act},
		{method: "DELETE", path: "/v1/session", id: "signOut", summary: "End a session. Where to sign out of what it rested on, or nothing.", scheme: schemeSession, key: true, status: 200, nothing: true, result: "Departure", problems: []int{400, 401, 409, 413, 422, 429, 500, 503}},
		{method: "GET", path: "/healthz", id: "health", summary: "Whether the process answers.", status: 200, result: "Status"},
		{method: "GET", path: "/readyz", id: "ready", summary: "Whether flows can be served.", status: 200, result: "Status", problems: []int{503}},
		{method: "GET", path: "/metrics", id: "metrics", summary: "Metrics in the text format of Prometheus.", status: 200, media: "text/plain"},
		{method: "GET", path: "/openapi.json", id: "description", summary: "This document.", status: 200, result: "Document"},
	}
}

func wellKnown(paths []string) []described {
	var out []described
	for _, p := range paths {
		id := strings.NewReplacer("/", "_", ".", "_", "-", "_").Replace(strings.TrimPrefix(p, "/.well-known/"))
		out = append(out, described{method: "GET", path: p, id: "document_" + id, summary: "A published document.", status: 200, result: "Document"})
	}
	return out
}

func (d described) operation(answers []any, prompts []Prompt) member {
	o := member{"operationId": d.id, "summary": d.summary, "responses": d.responses()}
	if p := d.parameters(prompts); len(p) > 0 {
		o["parameters"] = p
	}
	switch {
	case d.body == "answers":
		o["requestBody"] = body(member{"anyOf": answers}, true)
	case d.body != "":
		o["requestBody"] = body(refTo(d.body), !d.optional)
	}
	o["security"] = d.security()
	return o
}

// security lists the alternatives: whether a proof is needed is up to the client that the run is of.
func (d described) security() []any {
	plain := member{}
	if d.scheme != "" {
		plain[d.scheme] = []string{}
	}
	if !d.key {
		return []any{plain}
	}
	bound := maps.Clone(plain)
	bound["DPoP"] = []string{}
	return []any{bound, plain}
}

func (d described) parameters(prompts []Prompt) []any {
	var out []any
	if strings.Contains(d.path, "{stepId}") {
		id := member{"type": "string"}
		if ids := stepIDs(prompts); len(ids) > 0 {
			id["enum"] = ids
		}
		out = append(out, parameter("path", "stepId", "The step; nextStep.stepId.", true, id))
	}
	if d.turn {
		out = append(out, parameter("query", "turn", "The turn that is answered, as the action's link has it.", true,
			member{"type": "integer", "minimum": 1, "maximum": 999999999}))
	}
	if d.key {
		out = append(out, parameter("header", "Idempotency-Key", "At least 128 random bits: the request can be repeated after a lost answer.", false,
			member{"type": "string", "pattern": "^[A-Za-z0-9_-]{22,128}$"}))
	}
	if d.wait {
		out = append(out, parameter("header", "Prefer", "wait=N: answer once something has changed, or after so many seconds (RFC 7240).", false,
			member{"type": "string"}))
	}
	return out
}

// stepIDs are the steps that may be answered; none if that is not known of all prompts.
func stepIDs(prompts []Prompt) []string {
	var out []string
	for _, p := range prompts {
		if len(p.IDs) == 0 {
			return nil
		}
		out = append(out, p.IDs...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func parameter(in, name, doc string, required bool, schema member) member {
	return member{"in": in, "name": name, "description": doc, "required": required, "schema": schema}
}

func body(schema member, required bool) member {
	return member{"required": required, "content": member{mediaJSON: member{"schema": schema}}}
}

func (d described) responses() member {
	success := member{"description": http.StatusText(d.status), "headers": headerRefs("X-Request-Id")}
	switch {
	case d.wait:
		success["headers"] = headerRefs("X-Request-Id", "Preference-Applied")
	case d.media != "":
		success["content"] = member{d.media: member{"schema": member{"type": "string"}}}
	}
	if d.result != "" {
		success["content"] = member{mediaJSON: member{"schema": refTo(d.result)}}
	}
	out := member{strconv.Itoa(d.status): success}
	if d.nothing {
		out["204"] = member{"description": http.StatusText(http.StatusNoContent), "headers": headerRefs("X-Request-Id")}
	}
	for _, status := range d.problems {
		out[strconv.Itoa(status)] = member{"$ref": "#/components/responses/" + problemName(status)}
	}
	return out
}

func problemName(status int) string { return "Problem" + strconv.Itoa(status) }

// problemResponses are the answers that are problem documents.
func problemResponses() member {
	out := member{}
	for _, status := range []int{400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 500, 503} {
		names := []string{"X-Request-Id", "Retry-After"}
		if status == http.StatusUnauthorized {
			names = append(names, "WWW-Authenticate")
		}
		out[problemName(status)] = member{
			"description": http.StatusText(status), "headers": headerRefs(names...),
			"content": member{mediaProblem: member{"schema": refTo("Problem")}},
		}
	}
	return out
}

func headers() member {
	header := func(doc, typ string) member {
		return member{"description": doc, "schema": member{"type": typ}}
	}
	return member{
		"X-Request-Id":       header("Names the request in the log.", "string"),
		"Retry-After":        header("Seconds after which to try again.", "integer"),
		"Preference-Applied": header("The preference that was honoured (RFC 7240).", "string"),
		"WWW-Authenticate":   header("The scheme that is expected.", "string"),
	}
}

func headerRefs(names ...string) member {
	out := member{}
	for _, name := range names {
		out[name] = member{"$ref": "#/components/headers/" + name}
	}
	return out
}

func securitySchemes() member {
	return member{
		schemeFlow: member{
			"type": "http", "scheme": schemeFlow, "description": "The handle of the run: Authorization: Flow <handle>.",
		},
		schemeSession: member{
			"type": "http", "scheme": schemeSession, "description": "The secret of a session: Authorization: Session <secret>.",
		},
		"DPoP": member{
			"type": "apiKey", "in": "header", "name": "DPoP", "description": "A proof of the app's key for this request (RFC 9449).",
		},
	}
}
