package contract_test

import "slices"

// reading is what a person who reads the flow from top to bottom expects of
// it, for an app that picks the option that pick names.
type reading struct {
	has     []string // types of the account's active authenticators
	bound   bool     // this phone is one of them
	binding int      // of what the administrator bound
	device  int      // level at which the phone was bound last
	devices []int    // levels of all phones
	sso     int      // what the provider is trusted for
	pick    int

	proofs  []proof
	fresh   bool // a phone was bound in this run: its key proves nothing in it
	failure string
}

// enrolledHere is a failure of which only the status is promised.
const enrolledHere = "a key proves nothing in the run that it was bound in"

func (m *reading) level() int { return levelOf(m.proofs) }

// run reads the items in order; false: the run is over.
func (m *reading) run(items []*item) bool {
	for _, i := range items {
		if i.kind == "require" {
			if ok, err := conditions()[i.condition].holds(m); err != nil || !ok {
				return m.fail("requirement_not_met")
			}
			continue
		}
		if i.condition >= 0 {
			if ok, err := conditions()[i.condition].holds(m); err == nil && !ok {
				continue
			}
		}
		if !m.take(i) {
			return false
		}
	}
	return true
}

func (m *reading) fail(code string) bool {
	m.failure = code
	return false
}

func (m *reading) take(i *item) bool {
	if i.kind == "step" {
		return m.step(i.typ)
	}
	offers := m.offers(i)
	switch {
	case len(offers) > 1:
		return m.take(offers[m.pick%len(offers)])
	case len(offers) == 1:
		return m.take(offers[0])
	case i.otherwise != nil && m.offered(i.otherwise):
		return m.take(i.otherwise)
	}
	return m.fail("no_option_left")
}

func (m *reading) offers(i *item) []*item {
	var out []*item
	for _, o := range i.options {
		if m.offered(o) && (o.kind == "step" || len(m.offers(o)) > 0) {
			out = append(out, o)
		}
	}
	return out
}

func (m *reading) offered(i *item) bool {
	if !m.bound && (i.typ == "pin" || i.typ == "device_biometric") {
		return false
	}
	if i.condition < 0 {
		return true
	}
	ok, err := conditions()[i.condition].holds(m)
	return err == nil && ok
}

func (m *reading) step(typ string) bool {
	switch typ {
	case "sso":
		return m.prove("sso", m.sso)
	case "device_enrolment":
		return m.enrol()
	case "pin", "device_biometric":
		if !m.bound {
			return m.fail("device_required")
		}
	}
	if typ == "device_biometric" {
		if m.fresh {
			return m.fail(enrolledHere)
		}
		return m.prove(typ, m.device)
	}
	if !slices.Contains(m.has, typ) {
		return m.fail("wrong_answer")
	}
	return m.prove(typ, m.binding)
}

func (m *reading) prove(typ string, ceiling int) bool {
	m.proofs = append(m.proofs, proof{typ, ceiling})
	return true
}

// enrol: binding needs the highest level that the account can reach.
func (m *reading) enrol() bool {
	var best []proof
	for _, p := range m.proofs {
		if p.typ == "sso" {
			best = append(best, p)
		}
	}
	for _, typ := range m.has {
		if typ != "device" {
			best = append(best, proof{typ, m.binding})
		}
	}
	for _, level := range m.devices {
		best = append(best, proof{"device_biometric", level})
	}
	if len(m.proofs) == 0 || m.level() < levelOf(best) {
		return m.fail("insufficient_authentication")
	}
	m.device, m.bound, m.fresh = m.level(), true, true
	m.devices = append(m.devices, m.level())
	return true
}
