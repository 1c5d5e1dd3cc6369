// Package lines passes text of programs, mostly standard error, to a slog.Logger: line by line, at a
// bounded rate, in bounded memory. Lines beyond the rate are dropped, and their number is logged. A
// line longer than MaxLine is cut, with the number of bytes left out. slog's handlers quote control
// characters, so that no line can forge another.
package lines
