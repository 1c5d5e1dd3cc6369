// Package lines takes text that programs write - standard error, mostly - to a
// slog.Logger: line by line, at a bounded rate, in bounded memory. Lines beyond
// the rate are counted and the count is logged; a line beyond MaxLine is cut and
// says so. slog's handlers quote control characters, so that no line can forge
// another.
package lines
