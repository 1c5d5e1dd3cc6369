// Package probe measures how a running FastCGI application behaves: whether it keeps connections,
// how many it holds at once and what it does with one more, whether it multiplexes, what it
// answers to GET_VALUES, and which processes it consists of. [Run] measures; [Report.Advise]
// returns the settings of Sluice that fit. Begin with run.go.
//
// The probe changes nothing, is no load test, and sends only GET requests without a body and
// management records.
//
// What always holds:
//
//   - No connection is left silent: each carries a request or a management record as soon as it
//     is open. PHP, libfcgi and uWSGI give a silent connection a worker and wait for seconds.
//   - At most Config.Max connections are open at once, and more than one only
//     while the capacity is measured.
//   - When Run returns, after Config.Timeout at the latest, every connection has been closed. When
//     its context ends, all are closed at once.
//   - A report holds measured values only. A value that was not measured has a reason instead.
//
// Other clients of the application have connections, too: the capacity measured is what they
// leave.
package probe
