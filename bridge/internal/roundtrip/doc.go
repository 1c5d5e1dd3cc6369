// Package roundtrip turns an http.Handler into what an http.RoundTripper needs: the answer that
// the one writes is read by the other while it is written.
//
// What always holds: a writer is ahead of its reader by 32 KiB at most; an answer that the
// handler has not ended cleanly ends with an error for the reader.
package roundtrip
