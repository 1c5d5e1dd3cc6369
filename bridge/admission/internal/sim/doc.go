// Package sim plays a day of an application in front of which a policy decides
// who may start: the real gate of package admission, or a model of what other
// proxies do. It is a discrete-event simulator: time is virtual, every random
// number comes from a seed, and a run with the same options ends with the same
// result.
//
// The workload does not depend on the policy: arrivals, their routes, flows and
// the work they bring are drawn from streams of their own, so that two policies
// of the same seed see the same requests.
//
// A run keeps its own books of what is in flight and what waits. With the gate as
// the policy it holds them against what the gate promises, on every event; see
// ledger. What does not hold is an error of Run.
package sim
