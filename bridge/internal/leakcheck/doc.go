// Package leakcheck runs a package's tests and fails if they leave goroutines or
// file descriptors behind.
package leakcheck
