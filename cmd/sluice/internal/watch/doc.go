// Package watch shows the state of a gate in a terminal: the content of /status.json as one page,
// once, or live until a key ends it.
//
// Begin with live.go. fetch.go asks for the state (state.go), health.go says what is the matter
// with it, page.go and table.go make lines of it without I/O, and terminal.go owns the terminal.
//
// What always holds: the terminal is left as it was found, on every way out. Text from the status
// reaches the terminal only through clip, which has no control characters pass.
package watch
