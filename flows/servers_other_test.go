//go:build !unix

package flows_test

// stores are all stores that can be tested here.
var stores = embedded
