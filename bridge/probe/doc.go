// Package probe finds out what a live FastCGI application does: whether it keeps
// connections, how many it holds at once and what it does with one more, whether
// it multiplexes, what it answers to GET_VALUES, and who it is. [Run] measures,
// [Report.Advise] says what follows for Sluice's settings.
//
// It does not tune anything, load-test anything, or send anything but GET
// requests without a body and management records.
//
// What always holds:
//
//   - No connection is left silent: each carries a request or a management record
//     as soon as it is open. PHP, libfcgi and uWSGI give a silent one a worker
//     and wait on it for seconds.
//   - At most Config.Max connections are open at once, and more than one only
//     while the capacity is measured.
//   - When Run returns, after Config.Timeout at the latest, every connection has
//     been closed. When its context ends they are closed at once.
//   - A report holds what was measured. What was not has the reason beside it.
//
// Others who use the application meanwhile have their connections, too: what is
// measured is what they left.
package probe
