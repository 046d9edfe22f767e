package webauthntest

// Newest returns the id and the COSE key of the newest credential, nil without one.
func (a *Authenticator) Newest() (id, public []byte) {
	if len(a.credentials) == 0 {
		return nil, nil
	}
	c := a.credentials[len(a.credentials)-1]
	return c.id, c.key.cose
}
