package oidctest

// SetParam replaces or adds a parameter of authorization responses.
func SetParam(name, value string) Fault {
	return Fault{Redirect: func(r *Redirect) { r.Set(name, value) }}
}

// DropParam leaves a parameter out of authorization responses.
func DropParam(name string) Fault {
	return Fault{Redirect: func(r *Redirect) { r.Drop(name) }}
}

// AddParam adds a parameter to authorization responses, a second time if it is
// there already.
func AddParam(name, value string) Fault {
	return Fault{Redirect: func(r *Redirect) { r.Add(name, value) }}
}

// RefuseWith turns every authorization response into an error response.
func RefuseWith(code string) Fault {
	return Fault{Redirect: func(r *Redirect) {
		r.Drop("code")
		r.Set("error", code)
	}}
}
