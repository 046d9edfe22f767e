package flowdefs

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean returns "; did you mean ...?" for the known name nearest to name,
// else the list of known names if it is short, else "".
func didYouMean(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, k := range known {
		if max(len(name)-len(k), len(k)-len(name)) > least {
			continue // at least as far as their lengths are apart
		}
		switch d := distance(strings.ToLower(name), k); {
		case d < least:
			best, least = k, d
		case d == least:
			best = "" // two are equally near: listing beats guessing
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return ""
	case len(known) <= 12:
		sorted := slices.Sorted(slices.Values(known))
		return "; known: " + strings.Join(sorted, ", ")
	}
	return ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make one word from the other.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}

// didYouMeanOnly is didYouMean without the list, for messages that have listed them.
func didYouMeanOnly(name string, known []string) string {
	if hint := didYouMean(name, known); strings.HasPrefix(hint, "; did") {
		return hint
	}
	return ""
}
