package account

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// commonText is words that common passwords are made of, one group a line.
//
//go:embed common.txt
var commonText string

// commonWords is the set of them; it is made when the first password is set.
//
//nolint:gochecknoglobals // facts
var commonWords = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if !strings.HasPrefix(line, "#") {
			for _, w := range strings.Fields(line) {
				words[w] = true
			}
		}
	}
	return words
})

// disguises are the characters that are typed in the place of letters.
//
//nolint:gochecknoglobals // facts
var disguises = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "@", "a", "$", "s", "!", "i", "+", "t")

// folded is a text without what does not make it another one to a guesser:
// capitals, accents, and forms of one character.
func folded(s string) string {
	s = strings.ToLower(norm.NFKD.String(s))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, s)
}

// common reports whether a password is what guessers try first: one or two
// common words, also in disguise or repeated, with digits and signs at their
// ends; a run of neighbours; or a short group over and over.
func common(password string) bool {
	plain := folded(password)
	if repeated(plain) || isSequence(plain) {
		return true
	}
	undecorated := trimmed(plain)
	undisguised := disguises.Replace(plain)
	for _, candidate := range []string{plain, undecorated, undisguised, disguises.Replace(undecorated), trimmed(undisguised)} {
		if madeOfWords(candidate) {
			return true
		}
	}
	return undecorated == "" && len(plain) <= 12 // a date, a number
}

// trimmed is a text without the digits and signs at its ends.
func trimmed(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// madeOfWords reports whether a text is a common word, or two of them, or one
// over and over. Spaces and signs between do not count.
func madeOfWords(s string) bool {
	words := commonWords()
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
	if words[s] {
		return true
	}
	for i := range s {
		if i == 0 || !words[s[:i]] {
			continue
		}
		if rest := s[i:]; words[rest] || strings.ReplaceAll(rest, s[:i], "") == "" {
			return true
		}
	}
	return false
}

// repeated reports whether a text is a group of at most four characters over and over.
func repeated(s string) bool {
	r := []rune(s)
	for n := 1; n <= 4 && 2*n <= len(r); n++ {
		same := true
		for i := n; i < len(r) && same; i++ {
			same = r[i] == r[i-n]
		}
		if same {
			return true
		}
	}
	return false
}

// rows are what fingers run along.
//
//nolint:gochecknoglobals // facts
var rows = []string{
	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "012345678901234567890123456789",
	"1234567890qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmikolp",
}

// isSequence reports whether a text consists of a few runs along such rows.
func isSequence(s string) bool {
	const most = 3
	for range most {
		if s == "" {
			return true
		}
		n := longestRun(s)
		if n < 4 {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

// longestRun is how many bytes at the beginning of s run along a row, either way.
func longestRun(s string) int {
	longest := 0
	for _, row := range rows {
		for _, way := range []string{row, backwards(row)} {
			n := longest + 1
			for n <= len(s) && strings.Contains(way, s[:n]) {
				longest, n = n, n+1
			}
		}
	}
	return longest
}

func backwards(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
