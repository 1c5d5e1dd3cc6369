// Package scgi encodes requests in SCGI: variables in, bytes out. It does no I/O, keeps no
// time and starts no goroutines. Reading begins in header.go.
//
// A request is the variables, as a netstring, and the body behind it. An answer has no format
// of its own: it is all that the application sends until it closes the connection.
//
// What always holds:
//
//   - CONTENT_LENGTH is the first variable and a number; SCGI with the value 1 is the second.
//     No other variable has one of these names.
//   - A name is not empty, and neither a name nor a value contains a zero byte. Such variables
//     are refused with a [*VariableError], never truncated.
//
// Section numbers in comments are those of "SCGI: A Simple Common Gateway Interface
// alternative" (Neil Schemenauer, 23 June 2008).
package scgi
