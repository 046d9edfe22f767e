//go:build !race

package flowdefs_test

// slower is how much longer everything may take where others use the same caches and cores.
const slower = 2
