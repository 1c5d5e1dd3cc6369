// Package seeds chooses the random seeds of model tests, by the same variables in all packages.
//
// By default the seeds are the same in each run, so that a change breaks a test, not chance. With
// SLUICE_SEEDS=1000 each test uses a thousand new seeds. The name of a failed test has its seed;
// SLUICE_SEED=7 runs that seed alone, or, with SLUICE_SEEDS, that one and those after it.
package seeds
