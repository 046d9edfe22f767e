package assurance_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows/assurance"
)

// The clauses of the standards by name, where [assurance.Assess] has no table of its own for them.

func key(change func(*assurance.Evidence)) assurance.Evidence { return with(hardwareKey(), change) }

// IANA "Authentication Method Reference Values": RFC 8176 §2 and "pop".
func TestRFC8176Section2Registry(t *testing.T) {
	t.Parallel()
	all := assurance.Registered()
	if len(all) != 21 || !slices.IsSorted(all) {
		t.Errorf("%d values: %v", len(all), all)
	}
	for _, never := range []string{"mfa", "mca", "kba", "vbm"} {
		if slices.Contains(assurance.Mappable(), never) {
			t.Errorf("a provider can stand for %s", never)
		}
	}
}

// Each method says what RFC 8176 §2 has for it, and no other value.
func TestRFC8176Section2ByMethod(t *testing.T) {
	t.Parallel()
	possession := assurance.Possession
	code := func(m assurance.Method) assurance.Evidence { return local(m, string(m), possession) }
	tests := map[string]struct {
		e    assurance.Evidence
		want []string
	}{
		"a password is pwd":                        {password(), []string{"pwd"}},
		"a PIN at the server is pwd":               {local(assurance.PIN, "pin", assurance.Knowledge), []string{"pwd"}},
		"RFC 6238 is otp":                          {totp(), []string{"otp"}},
		"RFC 4226 is otp":                          {code(assurance.HOTP), []string{"otp"}},
		"a text is sms and not otp":                {code(assurance.SMS), []string{"sms"}},
		"a call is tel":                            {code(assurance.Voice), []string{"tel"}},
		"a mailed code is otp, and says so":        {code(assurance.Email), []string{"otp", "urn:stile-auth:amr:email"}},
		"a code of an administrator is otp, too":   {code(assurance.Activation), []string{"otp", "urn:stile-auth:amr:activation"}},
		"a recovery code is otp, and says so":      {code(assurance.Recovery), []string{"otp", "urn:stile-auth:amr:recovery"}},
		"a key in hardware is hwk":                 {hardwareKey(), []string{"hwk", "user"}},
		"a key in attested software is swk":        {key(func(e *assurance.Evidence) { e.HardwareBound, e.SoftwareBound = false, true }), []string{"swk", "user"}},
		"a key of unknown storage is pop":          {deviceKey(), []string{"pop", "user"}},
		"a hardware key that nothing attests":      {key(func(e *assurance.Evidence) { e.Attested = false }), []string{"pop", "user"}},
		"a key that can be exported":               {key(func(e *assurance.Evidence) { e.Exportable = true }), []string{"pop", "user"}},
		"a PIN on the device is pin and the key's": {key(func(e *assurance.Evidence) { e.Unlock = assurance.UnlockPIN }), []string{"hwk", "pin", "user"}},
		"a finger on the device is the key's":      {key(func(e *assurance.Evidence) { e.Unlock = assurance.UnlockBiometric }), []string{"hwk", "user"}},
		"signals are rba":                          {local(assurance.Risk, ""), []string{"rba"}},
		"a place is geo":                           {local(assurance.Location, ""), []string{"geo"}},
		"a provider that proves knowledge":         {federated(), []string{"pwd"}},
		"a provider that grants":                   {with(federated(), func(e *assurance.Evidence) { e.Mapped = []string{"fpt", "hwk"} }), []string{"fpt", "hwk"}},
		"a word that is none":                      {local("magic", "x", possession), []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, assess(list(tt.e)).AMR); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// RFC 8176 §2: mca is more than one channel, and says nothing of factors.
func TestMCA(t *testing.T) {
	t.Parallel()
	sms := with(local(assurance.SMS, "phone", assurance.Possession), func(e *assurance.Evidence) { e.Channel = "telephone" })
	call := with(local(assurance.Voice, "phone", assurance.Possession), func(e *assurance.Evidence) { e.Channel = "telephone" })
	mail := with(local(assurance.Email, "mail"), func(e *assurance.Evidence) { e.Channel = "mail" })
	for name, c := range map[string]struct {
		evidence []assurance.Evidence
		want     bool
	}{
		"a password and a text":          {list(password(), sms), true},
		"a password and a code":          {list(password(), totp()), false},
		"two over the telephone":         {list(sms, call), false},
		"mail proves nothing":            {list(password(), mail), false},
		"two codes over two channels":    {list(totp(), sms), true},
		"what earns nothing is no proof": {list(sms, with(password(), func(e *assurance.Evidence) { e.Binding = assurance.None })), false},
	} {
		got := assess(c.evidence)
		if slices.Contains(got.AMR, "mca") != c.want {
			t.Errorf("%s: %v", name, got.AMR)
		}
		if name == "two codes over two channels" && slices.Contains(got.AMR, "mfa") {
			t.Error("two things held are two factors")
		}
	}
}

// SP 800-63B-4 §3.2.9 and §3.1.3.3: the public telephone network carries aal1 at most, whatever its record says.
func TestPSTN(t *testing.T) {
	t.Parallel()
	for _, m := range []assurance.Method{assurance.SMS, assurance.Voice} {
		e := with(local(m, "phone", assurance.Possession), func(e *assurance.Evidence) { e.ReplayResistant = true })
		if got := assess(list(password(), e)); got.Level != assurance.AAL1 {
			t.Errorf("%s with a password is %s", m, got.Level)
		}
	}
}

// SP 800-63B-4 §3.1.3.1: mail is no authenticator. A deployment that lets it count gets aal1.
func TestMail(t *testing.T) {
	t.Parallel()
	mail := with(local(assurance.Email, "mail", assurance.Possession), func(e *assurance.Evidence) { e.ReplayResistant = true })
	if got := assess(list(mail)); got.Level != assurance.None {
		t.Errorf("mail is %s", got.Level)
	}
	if got := assess(list(password(), mail)); got.Level != assurance.AAL1 || slices.Contains(got.AMR, "mfa") {
		t.Errorf("mail and a password are %s %v", got.Level, got.AMR)
	}
	p := assurance.Policy{Deviations: assurance.Deviations{EmailIsFactor: true}}
	for name, es := range map[string][]assurance.Evidence{"mail": list(mail), "mail and a password": list(password(), mail)} {
		got := assurance.Assess(es, now, p)
		if got.Level != assurance.AAL1 || !slices.Contains(got.AMR, "urn:stile-auth:amr:email") || slices.Contains(got.AMR, "mfa") {
			t.Errorf("%s, where it counts: %s %v", name, got.Level, got.AMR)
		}
	}
	if mail.Method != assurance.Email || mail.Cap != assurance.AAL3 {
		t.Error("the record was changed")
	}
}

// RFC 8176 §2 keeps "pin" for the device; a deployment can depart from that by name.
func TestServerPINDeviation(t *testing.T) {
	t.Parallel()
	pin := local(assurance.PIN, "pin", assurance.Knowledge)
	got := assurance.Assess(list(pin), now, assurance.Policy{Deviations: assurance.Deviations{ServerPINIsPIN: true}})
	if !slices.Equal(got.AMR, []string{"pin"}) {
		t.Errorf("%v", got.AMR)
	}
}

// SP 800-63B-4 §2.1.3, §2.2.3, §2.3.3: what carries a level is no older than it allows.
func TestSP80063B4Decay(t *testing.T) {
	t.Parallel()
	es := list(password(), with(hardwareKey(), func(e *assurance.Evidence) { e.Authenticator = "key" }))
	for i := range es {
		es[i].At = now
	}
	for _, c := range []struct {
		after time.Duration
		want  assurance.Level
	}{
		{0, assurance.AAL3},
		{12 * time.Hour, assurance.AAL3},
		{12*time.Hour + 1, assurance.AAL2},
		{24 * time.Hour, assurance.AAL2},
		{24*time.Hour + 1, assurance.AAL1},
		{30 * 24 * time.Hour, assurance.AAL1},
		{30*24*time.Hour + 1, assurance.None},
	} {
		if got := assurance.Assess(es, now.Add(c.after), assurance.Policy{}); got.Level != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got.Level, c.want)
		}
	}
}

// SP 800-63B-4 §2.2.3, §2.3.3: a session that rests is worth less, by an hour and by a quarter of one.
func TestSP80063B4Inactivity(t *testing.T) {
	t.Parallel()
	want := map[assurance.Level]time.Duration{assurance.None: 0, assurance.AAL1: 0, assurance.AAL2: time.Hour, assurance.AAL3: 15 * time.Minute}
	for l, d := range want {
		if l.MaxIdle() != d {
			t.Errorf("%s rests for %s", l, l.MaxIdle())
		}
	}
}

// OpenID Connect EAP ACR Values 1.0: phr is resistant to phishing, phrh in hardware besides. Nothing that is typed is either.
func TestEAP(t *testing.T) {
	t.Parallel()
	passkey := with(local(assurance.Passkey, "pk", assurance.Possession), func(e *assurance.Evidence) {
		e.PhishingResistant, e.ReplayResistant, e.UserPresent, e.Exportable = true, true, true, true
	})
	typed := with(totp(), func(e *assurance.Evidence) { e.PhishingResistant = true })
	upstream := with(federated(), func(e *assurance.Evidence) { e.PhishingResistant = true })
	for name, c := range map[string]struct {
		e         assurance.Evidence
		phr, phrh bool
	}{
		"a passkey that is synced": {passkey, true, false},
		"a key in hardware":        {hardwareKey(), true, true},
		"a code":                   {typed, false, false},
		"a password":               {password(), false, false},
		"a provider's word":        {upstream, false, false},
		"a key without a name":     {with(hardwareKey(), func(e *assurance.Evidence) { e.PhishingResistant = false }), false, false},
	} {
		reached := assurance.BuiltIn().Reached(list(c.e), now, assurance.Policy{})
		if slices.Contains(reached, "phr") != c.phr || slices.Contains(reached, "phrh") != c.phrh {
			t.Errorf("%s: %v", name, reached)
		}
	}
}

// scales has one scale of its own, with a level for each thing that one can ask.
func scales() assurance.Scales {
	attested := func(set []assurance.Evidence) bool {
		return slices.ContainsFunc(set, func(e assurance.Evidence) bool { return e.Attested })
	}
	return append(assurance.BuiltIn(), assurance.Scale{Name: "bank", Rungs: []assurance.Rung{
		{Name: "bronze", Floor: assurance.AAL1, MaxAge: time.Hour},
		{Name: "silver", Floor: assurance.AAL2},
		{Name: "gold", Floor: assurance.AAL2, Holds: attested},
	}})
}

func TestOwnScales(t *testing.T) {
	t.Parallel()
	weakKey := key(func(e *assurance.Evidence) { e.Cap = assurance.AAL1 })
	old := with(password(), func(e *assurance.Evidence) { e.At = now.Add(-2 * time.Hour) })
	for name, c := range map[string]struct {
		evidence []assurance.Evidence
		want     []string
	}{
		"one factor":                        {list(password()), []string{"bronze"}},
		"one factor, and attested":          {list(hardwareKey()), []string{"bronze"}},
		"two factors":                       {list(password(), totp()), []string{"bronze", "silver"}},
		"two factors, and attested":         {list(password(), hardwareKey()), []string{"bronze", "silver", "gold"}},
		"attested by what is capped below":  {list(password(), totp(), weakKey), []string{"bronze", "silver"}},
		"too old for its level":             {list(old), nil},
		"what stands below is promised too": {list(old, with(totp(), func(e *assurance.Evidence) { e.At = old.At })), nil},
		"nothing":                           {nil, nil},
	} {
		var got []string
		for _, l := range []string{"bronze", "silver", "gold"} {
			err := scales().Reach(l, c.evidence, now, assurance.Policy{})
			if err == nil {
				got = append(got, l)
			} else if !errors.Is(err, assurance.ErrNotReached) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		s, err := scales().Scale("bank")
		best := ""
		if len(c.want) > 0 {
			best = c.want[len(c.want)-1]
		}
		if b := s.Best(c.evidence, now, assurance.Policy{}); err != nil || b != best {
			t.Errorf("%s: best %q, want %q", name, b, best)
		}
	}
	if err := scales().Reach("platinum", list(password()), now, assurance.Policy{}); !errors.Is(err, assurance.ErrUnknownLevel) {
		t.Errorf("an unknown level: %v", err)
	}
	if l := scales().Floor("gold"); l != assurance.AAL2 {
		t.Errorf("floor %s", l)
	}
}

// More evidence never takes a level away, on any scale; and time never gives one.
func TestScalesAreMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		before := scales().Reached(es, now, assurance.Policy{})
		after := scales().Reached(append(slices.Clone(es), anyEvidence(t)), now, assurance.Policy{})
		for _, l := range before {
			if !slices.Contains(after, l) {
				t.Fatalf("%s was lost: %v, then %v", l, before, after)
			}
		}
		later := scales().Reached(es, now.Add(time.Duration(rapid.IntRange(0, 800).Draw(t, "hours"))*time.Hour), assurance.Policy{})
		for _, l := range later {
			if !slices.Contains(before, l) {
				t.Fatalf("%s came with time: %v, then %v", l, before, later)
			}
		}
	})
}
