package prove

import (
	"cmp"
	"slices"
)

// kind is what a fact is about.
type kind byte

const (
	bound   kind = iota // the run's key belongs to a bound device of the account
	has                 // the account has an authenticator of the type name
	shape               // which of its shapes the authenticator name has: see shapes
	proved              // what the session has of the step type and configuration name
	age                 // how old the proofs of the session are, or the one of name: see agesOf
	draws               // the client can draw prompts of the type name
	reach               // the account's authenticators reach the most that any could
	guess               // what a condition that reads something unknown comes to
	text                // which of its values an expression has
	vouched             // the maker of the bound device has vouched for its key; with a name, of one that the run binds
)

// fact is one thing that may be so or otherwise, and stays as it is while a run lasts.
type fact struct {
	kind kind
	name string
}

func (f fact) compare(g fact) int {
	return cmp.Or(cmp.Compare(f.kind, g.kind), cmp.Compare(f.name, g.name))
}

// setting is a fact that is settled.
type setting struct {
	fact  fact
	value int
}

// situation is what is settled on a path, sorted by fact. It is a value: with returns another.
type situation []setting

func (s situation) find(f fact) (int, bool) {
	return slices.BinarySearchFunc(s, f, func(a setting, f fact) int { return a.fact.compare(f) })
}

// get returns what a fact is settled to.
func (s situation) get(f fact) (value int, ok bool) {
	i, ok := s.find(f)
	if !ok {
		return 0, false
	}
	return s[i].value, true
}

// is reports whether a fact is settled to be so.
func (s situation) is(f fact) bool {
	v, ok := s.get(f)
	return ok && v == yes
}

// not reports whether a fact is settled not to be so.
func (s situation) not(f fact) bool {
	v, ok := s.get(f)
	return ok && v == no
}

// lacks reports whether the client cannot draw something: what it gets no further for is its matter.
func (s situation) lacks() bool {
	return slices.ContainsFunc(s, func(set setting) bool { return set.fact.kind == draws && set.value == no })
}

// with settles a fact; one that is settled stays as it is.
func (s situation) with(f fact, value int) situation {
	i, ok := s.find(f)
	if ok {
		return s
	}
	return slices.Insert(slices.Clone(s), i, setting{f, value})
}

// The values of facts that are so or not.
const (
	no  = 0
	yes = 1
)

// script walks through every way that a step of a run can turn out: each
// question has some number of answers, and the step is taken again until all
// have been given. The questions asked may depend on the answers before.
type script struct {
	answers []int // to be given
	counts  []int // of each question that was asked
}

// ask returns the answer to the next question, which has n possible ones.
func (s *script) ask(n int) int {
	at := len(s.counts)
	s.counts = append(s.counts, n)
	if at < len(s.answers) {
		return s.answers[at]
	}
	s.answers = append(s.answers, 0)
	return 0
}

// next prepares for the next way; false if there is none left.
func (s *script) next() bool {
	for i := len(s.counts) - 1; i >= 0; i-- {
		if s.answers[i]+1 < s.counts[i] {
			s.answers = s.answers[:i+1]
			s.answers[i]++
			s.counts = s.counts[:0]
			return true
		}
	}
	return false
}
