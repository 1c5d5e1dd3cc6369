// Package sim simulates an application behind a policy that decides which requests may start: the
// real gate of package admission, or a model of another proxy. The simulator is event-driven: time
// is virtual, every random number comes from a seed, and runs with equal options have equal
// results.
//
// The workload does not depend on the policy. Arrivals, their routes, client keys and work are
// drawn from random streams of their own, so two policies with the same seed see the same requests.
//
// A run counts by itself what is in flight and what waits. If the policy is the gate, a checker
// compares what the gate does with what package admission promises, at every event. Run returns
// what does not hold as an error.
//
// Begin with run.go: Run, and what becomes of a request. policy.go has the models of other proxies,
// gate.go the real gate, source.go the workload, and backend.go the application.
package sim
