package flowdefs

// endpointForm is what a pattern can say of an endpoint; see endpointURL.
const endpointForm = `^(https://[^/\s?#@*]+|http://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?)([/?][^\s#]*)?$`

func endpoints7() object7 {
	e := formed(endpointForm)
	return closed(object7{"authorization": e, "token": e, "keys": e, "userinfo": e, "par": e, "introspection": e, "revocation": e, "end_session": e}, "authorization", "token")
}

func update7() object7 {
	return words7(string(UpdateNever), string(UpdateAlways), string(UpdateVerified))
}

func attributes7() object7 {
	e := expression7("An expression over claims and response.")
	return object7{
		"type": "object", "maxProperties": maxConditions,
		"propertyNames":        object7{"pattern": mappedForm.String(), "not": object7{"anyOf": []any{object7{"const": RolesAttribute}, object7{"pattern": VerifiedSuffix + "$"}}}},
		"additionalProperties": object7{"anyOf": []any{e, closed(object7{"value": e, "verified": e, "update": update7()}, "value")}},
	}
}

func user7() object7 {
	p := formed(pathForm.String())
	return closed(object7{
		"subject": p, "email": p, "email_verified": p,
		"more": documented(object7{"type": "object", "maxProperties": 3, "propertyNames": formed(mappedForm.String()), "additionalProperties": formed(moreForm.String())},
			"Further questions with the access token: the claim that an answer becomes, and the address that gives it."),
	}, "subject")
}

func tokenInfo7() object7 {
	p := formed(pathForm.String())
	return closed(object7{
		"endpoint": formed(endpointForm), "parameter": formed(parameterForm.String()), "app": some(set7(p)), "subject": p, "expires": p, "valid": p,
		"authentication": words7("none", "app_token"),
	}, "endpoint", "parameter", "app", "subject", "expires")
}

func request7() object7 {
	return closed(object7{
		"claims":      documented(closed(object7{"id_token": object7{"type": "object"}, "userinfo": object7{"type": "object"}}), "The claims parameter."),
		"domain_hint": text7(), "prompt": text7(),
		"parameters": object7{
			"type": "object", "additionalProperties": formed(valueForm.String()),
			"propertyNames": object7{"pattern": parameterForm.String(), "not": object7{"enum": ReservedParameters()}},
		},
	})
}
