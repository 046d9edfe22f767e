package flowdefs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows/assurance"
)

// FileSchema returns the JSON Schema (draft-07) of one definition file, for
// editors: keys, kinds of nodes, the step types of cat with their configuration
// and their exits. What takes more than one place of a file to judge (names that
// must be declared elsewhere, expressions, lengths of time) it does not say:
// [Load] does. It fails if the configuration of a step type is not a JSON Schema
// that can stand inside another one.
func FileSchema(cat Catalogue) (json.RawMessage, error) {
	w := &schemaWriter{cat: cat, definitions: object7{}}
	root := w.file()
	for _, inside := range []bool{false, true} {
		w.inside = inside
		if err := w.nodes(); err != nil {
			return nil, err
		}
	}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Definitions of Stile"
	root["definitions"] = w.definitions
	text, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("flowdefs: schema: %w", err)
	}
	return text, nil
}

// object7 is a schema, or a part of one, in its JSON form.
type object7 = map[string]any

// schemaWriter makes the schema of a file.
type schemaWriter struct {
	cat         Catalogue
	definitions object7
	inside      bool // a sub-flow, where {param: p} may stand for a value
}

// ref refers to a definition as it is where we are.
func (w *schemaWriter) ref(name string) object7 {
	return object7{"$ref": "#/definitions/" + w.name(name)}
}

func (w *schemaWriter) name(name string) string {
	if w.inside {
		return "subflow-" + name
	}
	return name
}

// value is a schema where, inside a sub-flow, a parameter may stand as well.
func (w *schemaWriter) value(s object7) object7 {
	if !w.inside {
		return s
	}
	return object7{"anyOf": []any{s, object7{"$ref": "#/definitions/param"}}}
}

// closed is an object that has these keys and no others.
func closed(properties object7, required ...string) object7 {
	s := object7{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// named is a mapping of names to values.
func named(value object7) object7 {
	return object7{"type": "object", "propertyNames": object7{"pattern": nameForm.String()}, "additionalProperties": value}
}

// table7 is a mapping whose names are not ours to form.
func table7(value object7) object7 {
	return object7{"type": "object", "additionalProperties": value}
}

func list7(items object7) object7 { return object7{"type": "array", "items": items} }

func some(s object7) object7 { s["minItems"] = 1; return s }

func set7(items object7) object7 { s := list7(items); s["uniqueItems"] = true; return s }

func formed(pattern string) object7 { return object7{"type": "string", "pattern": pattern} }

func documented(s object7, doc string) object7 { s["description"] = doc; return s }

func between(least, most int) object7 {
	return object7{"type": "integer", "minimum": least, "maximum": most}
}

func text7() object7 { return object7{"type": "string"} }

func filled() object7 { return formed(`\S`) }

func boolean7() object7 { return object7{"type": "boolean"} }

// length is a duration that is longer than nothing.
func length() object7 {
	s := formed(durationForm.String())
	s["allOf"] = []any{object7{"pattern": "[1-9]"}}
	return documented(s, "A length of time such as 90s, 5m or 1h30m.")
}

func words7(words ...string) object7 { return object7{"type": "string", "enum": words} }

// expression7 is an expression in CEL. Its own language is not a matter of the schema.
func expression7(doc string) object7 {
	return object7{"type": "string", "pattern": `\S`, "maxLength": maxExpression, "description": doc + " An expression in CEL."}
}

func (w *schemaWriter) file() object7 {
	flow := w.flow()
	w.inside = true
	sub := closed(object7{
		"parameters": named(words7(slices.Sorted(maps.Keys(parameterKinds()))...)),
		"steps":      w.ref("steps"),
	}, "steps")
	w.inside = false
	w.definitions["param"] = documented(closed(object7{"param": text7()}, "param"), "The value of a parameter of the subflow.")
	sections := object7{
		"levels":         documented(named(scale7()), "Scales of levels by their own names, beside the built-in ones."),
		"flows":          documented(named(flow), "What runs go through, step by step."),
		"subflows":       documented(named(sub), "Lists of steps that flows use."),
		"targets":        documented(named(target7()), "Applications that an identity is propagated to."),
		"providers":      documented(named(provider7()), "Remote OpenID providers."),
		"directories":    documented(named(directory7()), "LDAP directories."),
		"clients":        documented(named(client7()), "Apps that may start flows."),
		"client_sources": documented(named(clientSource7()), "Where other clients stand, and what these may have at most."),
		"messages":       documented(messages7(), "Texts by language tag and id. In a text {name} stands for an argument."),
	}
	return closed(sections)
}

func (w *schemaWriter) flow() object7 {
	kinds := words7(string(SignIn), string(Authorization), string(Registration), string(Recovery), string(SelfService), string(Transaction))
	s := closed(object7{
		"description": text7(),
		"timeout":     documented(length(), "Life of a run; at most 1h."),
		"steps":       w.ref("steps"),
		"kind":        documented(kinds, "What the flow is for; sign_in if absent."),
		"handlers":    documented(named(w.ref("steps")), "Where exits lead; at its end a handler fails the run."),
		"requires":    documented(requirement7(), "What the session must have reached; only of the kind self_service."),
		"back":        documented(boolean7(), "Whether clients may go back; true if absent."),
		"guarantees":  documented(some(set7(formed(guaranteeForm))), "What is proved of every run before the flow loads."),
		"restart":     documented(boolean7(), "Whether clients may restart; true if absent."),
	}, "steps")
	s["if"] = object7{"required": []string{"requires"}}
	s["then"] = object7{"required": []string{"kind"}, "properties": object7{"kind": object7{"const": string(SelfService)}}}
	return s
}

// guaranteeForm is what a pattern can say of a guarantee.
const guaranteeForm = `^(complete\s+implies\s+\S|never\s+\S|\S+\s+before\s+\S+$)`

func level7() object7 { return words7(assurance.Levels()...) }

// levelName7 is the name of a level of any scale: which there are is declared elsewhere.
func levelName7() object7 {
	return documented(formed(strings.Replace(levelForm.String(), "+$", fmt.Sprintf("{1,%d}$", maxLevel), 1)), "A level: aal1, aal2, aal3, phr, phrh, or one of a scale of \"levels\".")
}

func requirement7() object7 { return closed(object7{"acr": levelName7(), "max_age": length()}) }

func scale7() object7 {
	return some(list7(closed(object7{
		"name":     levelName7(),
		"requires": documented(level7(), "What the evidence must amount to on the built-in scale; aal1 if absent."),
		"max_age":  documented(length(), "How old the evidence may be."),
		"when":     expression7("What is asked of the evidence besides."),
	}, "name")))
}

func target7() object7 {
	return closed(object7{
		"flow":      text7(),
		"authorize": documented(set7(text7()), "Flows of the kind authorization that run behind the flow, in order."),
		"requires":  requirement7(),
		"scale":     documented(formed(nameForm.String()), "The scale whose levels its tokens speak of; that of requires.acr if absent, else nist."),
		"enrol":     documented(text7(), "The flow by which somebody who cannot reach the level becomes able to."),
		"propagate": object7{"anyOf": []any{propagate7(), propagates7()}},
	}, "flow", "propagate")
}

// propagates7 is a list of which the first entry that fits counts: all but the last have a condition.
func propagates7() object7 {
	return object7{"type": "array", "minItems": 1, "maxItems": maxPropagates, "items": propagate7()}
}

func propagate7() object7 {
	claims := object7{
		"type": "object", "maxProperties": maxConditions, "additionalProperties": expression7("The value of the claim."),
		"propertyNames": object7{"minLength": 1, "not": object7{"enum": reservedClaims()}},
	}
	cond := expression7("Whether this entry counts; always if absent.")
	ours := func(typ, key string, own object7) object7 {
		properties := object7{"if": cond, "type": words7(typ), "audience": filled(), "ttl": length(), "claims": claims}
		if key == "" {
			return closed(properties, "type", "audience")
		}
		properties[key] = own
		return closed(properties, "type", "audience", key)
	}
	return object7{"oneOf": []any{
		ours(BearerJWT, "", nil),
		ours(HeaderJWT, "header", documented(formed(headerForm.String()), "The request header that the token stands in.")),
		ours(CookieJWT, "cookie", cookie7()),
		ours(OneTimeCode, "redeemer", documented(text7(), "The client that trades the code.")),
		closed(object7{"if": cond, "type": words7(ProviderToken), "provider": text7()}, "type", "provider"),
	}}
}

// issuerForm is what a pattern can say of an issuer; see issuerURL.
const issuerForm = `^(https://[^/\s?#@*]+|http://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?)(/[^\s?#]*)?$`

func provider7() object7 {
	scopes := set7(formed(scopeForm.String()))
	categories := words7(string(assurance.Knowledge), string(assurance.Possession), string(assurance.Inherence))
	kept := func(doc string) object7 {
		return object7{"oneOf": []any{
			closed(object7{"env": formed(envForm.String())}, "env"), closed(object7{"file": filled()}, "file"),
		}, "description": doc}
	}
	s := closed(object7{
		"preset":                    documented(words7(Presets()...), "The provider that it is, of those that are known; what stands here goes before what it says."),
		"with":                      documented(table7(formed(tenantForm.String())), "What the preset leaves open: tenant, domain, ..."),
		"protocol":                  documented(words7("openid", "oauth2"), "oauth2: it makes no ID tokens; openid if absent."),
		"issuer":                    documented(formed(issuerForm), "Its issuer identifier; https, or http on this machine."),
		"token_issuer":              documented(filled(), "What its ID tokens name, with {tenantid}, if each tenant has an issuer."),
		"tenants":                   documented(set7(formed(tenantForm.String())), "The only tenants that people may come from; all if absent."),
		"endpoints":                 documented(endpoints7(), "Its endpoints, if they are not to be discovered."),
		"user":                      documented(user7(), "What the UserInfo of a plain OAuth 2.0 provider calls things."),
		"token_info":                documented(tokenInfo7(), "Where it says whom an access token was issued to, and in what words."),
		"client_id":                 filled(),
		"client_authentication":     documented(words7(authentications()...), "How Stile authenticates there; by what there is if absent."),
		"client_secret":             kept("Where the secret is kept; absent for a public client."),
		"client_key":                kept("Where the key (PEM) is kept that signs assertions, or that belongs to the certificate."),
		"client_key_id":             documented(filled(), "The kid of what client_key signs."),
		"client_team":               documented(filled(), "Who a signed client secret comes from."),
		"client_certificate":        kept("Where the certificate (PEM) is kept that Stile shows."),
		"client_assertion_audience": documented(words7("issuer", "token_endpoint"), "Who assertions are addressed to; issuer if absent."),
		"userinfo":                  documented(boolean7(), "Whether UserInfo is asked for what the ID token does not say."),
		"algorithms":                documented(some(set7(words7(tokenAlgorithms()...))), "What its ID tokens may be signed with; RS256, PS256, ES256, ES384 and EdDSA if absent."),
		"response_mode":             documented(words7("query", "fragment", "form_post"), "How answers come back; query if absent."),
		"par":                       documented(words7("always", "never"), "Whether requests are pushed; where the provider takes that, if absent."),
		"dpop":                      documented(boolean7(), "Whether tokens are bound to a key of each sign-on."),
		"front_channel_logout":      documented(boolean7(), "Whether its pages end sessions in the browser of whoever signs out there."),
		"logout":                    documented(words7("here", "provider"), "provider: who signs out here is led there, to sign out too; here if absent."),
		"keep_tokens":               documented(boolean7(), "Whether its tokens are kept, sealed, with the session, and refreshed."),
		"request":                   documented(request7(), "What authorization requests say besides."),
		"codes":                     documented(closed(object7{"spent": set7(formed(codeForm.String())), "cancelled": set7(formed(codeForm.String()))}), "Its own words for errors."),
		"response_claims":           documented(formed(parameterForm.String()), "Parameter of the answer that holds a JSON object, the variable response of expressions."),
		"attributes":                documented(attributes7(), "Attributes of accounts, by name: what they follow from."),
		"groups": documented(closed(object7{
			"value": expression7("A list of groups."), "roles": table7(formed(roleForm.String())),
		}, "value", "roles"), "The roles that follow from groups, at each sign-on."),
		"update":            documented(update7(), "Whether later sign-ons change the attributes; never if absent."),
		"scopes":            scopes,
		"provision":         words7(string(ProvisionNever), string(ProvisionLinkOnly), string(ProvisionCreate)),
		"domains":           documented(set7(formed(domainForm.String())), "Domains, exactly, whose people sign on here: a choose takes this provider silently for a name of such a domain."),
		"authoritative_for": documented(set7(formed(domainForm.String())), "Domains, exactly, whose verified addresses link a person to the account that has proved to have that address."),
		"assurance":         closed(object7{"categories": some(set7(categories)), "cap": level7(), "map": some(list7(mapping7(categories)))}),
	}, "client_id")
	s["anyOf"] = []any{object7{"required": []string{"issuer"}}, object7{"required": []string{"preset"}}}
	plain := object7{"required": []string{"protocol"}, "properties": object7{"protocol": object7{"const": "oauth2"}}}
	s["if"] = object7{"anyOf": []any{plain, object7{"required": []string{"preset"}}}} // which may be of one
	s["else"] = object7{"properties": object7{"scopes": object7{"contains": object7{"const": "openid"}}}}
	return s
}

func directory7() object7 {
	attribute := formed(attributeForm.String())
	return closed(object7{
		"url":     documented(formed(`^ldaps?://[^/?#@\s]+$`), "ldaps://HOST, or ldap://HOST for StartTLS."),
		"bind_dn": documented(filled(), "Who searches."),
		"bind_password": object7{"oneOf": []any{
			closed(object7{"env": formed(envForm.String())}, "env"), closed(object7{"file": filled()}, "file"),
		}, "description": "Where the password of bind_dn is kept."},
		"base":         documented(filled(), "DN below which people are."),
		"object_class": documented(attribute, "Of people; default inetOrgPerson."),
		"logins":       documented(set7(attribute), "Attributes that a login is looked for in; default [uid]."),
		"id":           documented(attribute, "Attribute that stays when a person is renamed; default entryUUID."),
		"attributes":   documented(table7(attribute), "Attributes of accounts, by name: the attribute of the directory that each is taken from."),
		"groups": closed(object7{
			"base":   documented(filled(), "DN below which groups are."),
			"member": documented(attribute, "Attribute of a group with the DNs of its members; default member."),
			"roles":  documented(table7(formed(roleForm.String())), "Roles that members of groups have, by cn of the group."),
		}, "base", "roles"),
		"provision": words7(string(ProvisionNever), string(ProvisionLinkOnly), string(ProvisionCreate)),
		"binding":   documented(level7(), "Level at which its people are bound; default aal1."),
	}, "url", "base")
}

func mapping7(categories object7) object7 {
	s := closed(object7{
		"acr":                documented(set7(text7()), "Its acr is one of these."),
		"amr":                documented(set7(text7()), "Its amr has all of these."),
		"categories":         documented(some(set7(categories)), "What it proves then."),
		"grants":             documented(set7(words7(assurance.Mappable()...)), "Values that stand in our own amr then."),
		"replay_resistant":   boolean7(),
		"phishing_resistant": boolean7(),
		"cap":                documented(level7(), "Most that it is trusted for then."),
	}, "categories")
	s["anyOf"] = []any{
		object7{"required": []string{"acr"}, "properties": object7{"acr": object7{"minItems": 1}}},
		object7{"required": []string{"amr"}, "properties": object7{"amr": object7{"minItems": 1}}},
	}
	return s
}

func client7() object7 {
	s := closed(object7{
		"flows": set7(text7()), "targets": set7(text7()),
		"redirect_uris": set7(formed(redirectForm.String())),
		"provider_redirects": documented(object7{"type": "object", "additionalProperties": formed(redirectForm.String())},
			"Redirect URIs of providers that have one of their own, by the provider's name: by it the app knows who has answered."),
		"origins":                  set7(formed(`^https?://[^\s/?#@*]+$`)),
		"dpop":                     documented(words7("required", "optional"), "Whether runs are bound to the app's key; required if absent."),
		"hand_over":                documented(words7("web"), "What draws the steps that the app cannot draw; nothing if absent."),
		"oauth":                    oauth7(),
		"requires":                 documented(requirement7(), "What its runs have to reach besides what their targets ask for."),
		"ttl":                      documented(length(), "How long its access tokens are good at most; as the target says if absent."),
		"post_logout_redirect_uri": documented(formed(redirectForm.String()), "Where the browser comes back to from signing out at a provider."),
	})
	s["if"] = object7{"required": []string{"hand_over"}}
	s["then"] = object7{"required": []string{"redirect_uris"}, "properties": object7{"redirect_uris": object7{"minItems": 1}}}
	s["anyOf"] = []any{
		object7{"required": []string{"flows"}, "properties": object7{"flows": object7{"minItems": 1}}},
		object7{"required": []string{"targets"}, "properties": object7{"targets": object7{"minItems": 1}}},
	}
	return s
}

func messages7() object7 {
	text := formed(`^[^{}]*(\{[a-z][a-zA-Z0-9_]{0,63}\}[^{}]*)*$`)
	text["maxLength"] = maxMessage
	text["allOf"] = []any{filled()}
	return object7{
		"type": "object", "maxProperties": maxLocales, "propertyNames": object7{"pattern": `^[a-z]{2,8}(-[A-Za-z0-9]{1,8})*$`},
		"additionalProperties": object7{
			"type": "object", "propertyNames": object7{"pattern": messageForm.String()}, "additionalProperties": text,
		},
	}
}

// embedded is the schema of a step's configuration, as it stands in a larger one.
func (w *schemaWriter) embedded(info StepInfo) (object7, error) {
	var s object7
	if err := json.Unmarshal(info.Config, &s); err != nil {
		return nil, fmt.Errorf("flowdefs: step type %s: configuration: %w", info.Name, err)
	}
	if bytes.Contains(info.Config, []byte(`"$ref"`)) {
		return nil, fmt.Errorf("flowdefs: step type %s: configuration: a schema with $ref cannot be embedded", info.Name)
	}
	delete(s, "$schema")
	delete(s, "$id")
	if w.inside {
		w.open(s)
	}
	return s, nil
}

// open lets a parameter stand for every value inside a configuration.
func (w *schemaWriter) open(s object7) {
	if properties, ok := s["properties"].(object7); ok {
		for name, p := range properties {
			if p, ok := p.(object7); ok {
				w.open(p)
				properties[name] = w.value(p)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if p, ok := s[key].(object7); ok && p["not"] == nil {
			w.open(p)
			s[key] = w.value(p)
		}
	}
}

// title is the first line of a step type's manual.
func title(doc string) string {
	first, _, _ := strings.Cut(doc, "\n")
	return first
}
