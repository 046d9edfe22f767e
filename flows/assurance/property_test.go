package assurance_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows/assurance"
)

var (
	methods = []assurance.Method{
		assurance.Password, assurance.PIN, assurance.TOTP, assurance.DeviceKey, assurance.DeviceKey, assurance.Federated, assurance.SMS,
		assurance.Voice, assurance.Email, assurance.Recovery, assurance.HOTP, assurance.Passkey, assurance.Certificate, assurance.Push,
		assurance.Risk, assurance.Location,
	}
	categories = []assurance.Category{assurance.Knowledge, assurance.Possession, assurance.Inherence}
)

// anyEvidence draws evidence that is often strong, so that the upper levels are reached.
func anyEvidence(t *rapid.T) assurance.Evidence {
	often := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) > 0 }
	seldom := func(name string) bool { return rapid.IntRange(0, 7).Draw(t, name) == 7 }
	e := assurance.Evidence{
		Step:          rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "step"),
		Method:        rapid.SampledFrom(methods).Draw(t, "method"),
		Authenticator: rapid.SampledFrom([]string{"", "1", "2", "3", "4"}).Draw(t, "authenticator"),
		Device:        rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "device"),
		At:            now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "age")) * time.Minute),
		Binding:       rapid.SampledFrom([]assurance.Level{3, 3, 3, 2, 1, 0}).Draw(t, "binding"),
		Cap:           rapid.SampledFrom([]assurance.Level{3, 3, 3, 2, 1, 0}).Draw(t, "cap"),

		PhishingResistant: often("phishing"),
		ReplayResistant:   often("replay"),
		HardwareBound:     often("hardware"),
		Attested:          often("attested"),
		UserPresent:       often("present"),
		SoftwareBound:     seldom("software"),
		Exportable:        seldom("exportable"),
		Restricted:        seldom("restricted"),
		LowEntropy:        seldom("low entropy"),
	}
	for _, c := range categories {
		if rapid.Bool().Draw(t, string(c)) {
			e.Categories = append(e.Categories, c)
		}
	}
	if seldom("expires") {
		e.Expires = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "left")) * time.Minute)
	}
	return e
}

func draw(t *rapid.T, atMost int) []assurance.Evidence {
	return rapid.SliceOfN(rapid.Custom(anyEvidence), 0, atMost).Draw(t, "evidence")
}

func assess(es []assurance.Evidence) assurance.Result {
	return assurance.Assess(es, now, assurance.Policy{})
}

func TestAssessIsMonotoneInEvidence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		more := append(slices.Clone(es), anyEvidence(t))
		before, after := assess(es), assess(more)
		if after.Level < before.Level {
			t.Fatalf("level fell from %v to %v", before.Level, after.Level)
		}
		for _, v := range before.AMR {
			if !slices.Contains(after.AMR, v) {
				t.Fatalf("%q went from %v to %v", v, before.AMR, after.AMR)
			}
		}
	})
}

func TestAssessIgnoresOrderNamesAndRepetition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		other := rapid.Permutation(es).Draw(t, "order")
		if len(other) > 0 {
			other = append(other, other[0])
		}
		for i := range other {
			other[i].Step, other[i].StepType, other[i].Config = "renamed", "renamed", "renamed"
		}
		if diff := cmp.Diff(assess(es), assess(other)); diff != "" {
			t.Fatalf("(-given +other):\n%s", diff)
		}
	})
}

func TestAssessLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		given := slices.Clone(es)
		assess(es)
		if diff := cmp.Diff(given, es); diff != "" {
			t.Fatalf("(-given +after):\n%s", diff)
		}
	})
}

func TestAssessOneCategoryIsOneFactor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		only := rapid.SampledFrom(categories).Draw(t, "only")
		for i := range es {
			es[i].Categories = []assurance.Category{only}
		}
		got := assess(es)
		if got.Level > assurance.AAL1 || slices.Contains(got.AMR, "mfa") {
			t.Fatalf("%v %v of %s alone", got.Level, got.AMR, only)
		}
	})
}

func TestAssessNeedsPossessionForAAL2(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		for i := range es {
			es[i].Categories = slices.DeleteFunc(slices.Clone(es[i].Categories), func(c assurance.Category) bool { return c == assurance.Possession })
		}
		if got := assess(es); got.Level > assurance.AAL1 || slices.Contains(got.AMR, "mfa") {
			t.Fatalf("%v %v without possession", got.Level, got.AMR)
		}
	})
}

func TestAssessWeakerEvidenceNeverRaises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := rapid.SliceOfN(rapid.Custom(anyEvidence), 1, 6).Draw(t, "evidence")
		weaker := slices.Clone(es)
		w := &weaker[rapid.IntRange(0, len(es)-1).Draw(t, "which")]
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			w.Binding--
		case 1:
			w.Cap--
		case 2:
			w.LowEntropy = true
		case 3:
			w.Restricted = true
		case 4:
			w.Exportable = true
		}
		if before, after := assess(es).Level, assess(weaker).Level; after > before {
			t.Fatalf("level rose from %v to %v", before, after)
		}
	})
}

func TestAssessAgeNeverRaises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		p := assurance.Policy{NotBefore: now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "limit")) * time.Minute)}
		later := now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "later")) * time.Minute)
		if before, after := assurance.Assess(es, now, p).Level, assurance.Assess(es, later, p).Level; after > before {
			t.Fatalf("level rose from %v to %v", before, after)
		}
	})
}

// The level is defined over all subsets; here they are all tried, by rules
// that are written down a second time.
func TestAssessIsTheBestOfAllSubsets(t *testing.T) {
	t.Parallel()
	var reached [4]bool
	rapid.Check(t, func(t *rapid.T) {
		es := draw(t, 6)
		if rapid.Bool().Draw(t, "strong") {
			es = append(es, password(), hardwareKey())
		}
		best := assurance.None
		for bits := range 1 << len(es) {
			var subset []assurance.Evidence
			for i, e := range es {
				if bits>>i&1 == 1 && (e.Expires.IsZero() || e.Expires.After(now)) {
					subset = append(subset, e)
				}
			}
			best = max(best, subsetLevel(subset))
		}
		if got := assess(es).Level; got != best {
			t.Fatalf("level = %v, best subset has %v", got, best)
		}
		reached[best] = true
	})
	if reached != [4]bool{true, true, true, true} {
		t.Errorf("levels reached: %v; the test has not seen them all", reached)
	}
}

// subsetLevel is the level of exactly this set: its rule's level, then the lowest cap.
func subsetLevel(set []assurance.Evidence) assurance.Level {
	nothing := []assurance.Method{assurance.Email, assurance.Risk, assurance.Location}
	telephone := []assurance.Method{assurance.SMS, assurance.Voice}
	keys := []assurance.Method{assurance.DeviceKey, assurance.Passkey, assurance.Certificate}
	counts := func(e assurance.Evidence, c assurance.Category) bool {
		return !slices.Contains(nothing, e.Method) && slices.Contains(e.Categories, c) && !e.LowEntropy && e.Binding > 0 && e.Cap > 0
	}
	var one, replay, multi, hardware bool
	limit := assurance.AAL3
	for _, a := range set {
		limit = min(limit, a.Binding, a.Cap)
		if a.Restricted || slices.Contains(telephone, a.Method) {
			limit = min(limit, assurance.AAL1)
		}
		factor := counts(a, assurance.Knowledge) || counts(a, assurance.Possession)
		one = one || factor
		replay = replay || factor && a.ReplayResistant
		if !counts(a, assurance.Possession) {
			continue
		}
		hardware = hardware || slices.Contains(keys, a.Method) && a.HardwareBound && a.Attested && a.PhishingResistant &&
			a.ReplayResistant && a.UserPresent && !a.Exportable && !a.SoftwareBound
		multi = multi || counts(a, assurance.Knowledge) || counts(a, assurance.Inherence)
		for _, b := range set {
			same := a.Authenticator == b.Authenticator && a.Authenticator != ""
			onDevice := a.Device == b.Device && a.Device != "" && counts(b, assurance.Inherence)
			multi = multi || !same && (counts(b, assurance.Knowledge) || onDevice)
		}
	}
	switch {
	case multi && replay && hardware:
		return max(limit, assurance.None)
	case multi && replay:
		return min(limit, assurance.AAL2)
	case one:
		return min(limit, assurance.AAL1)
	}
	return assurance.None
}
