//go:build race

package flowdefs_test

// slower is how much longer everything takes with the race detector, at the very most.
const slower = 20
