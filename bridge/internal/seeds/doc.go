// Package seeds says which random lives a test plays: in all packages by the same variables.
//
// Usually they are the same every time, so that a change, not chance, breaks a test. With
// SLUICE_SEEDS=1000 each test plays a thousand that nobody has seen before. The name of a
// test that fails has the seed; SLUICE_SEED=7 plays that life alone, or, with SLUICE_SEEDS,
// that and those that follow it.
package seeds
