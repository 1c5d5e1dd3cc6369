// Package fcgi is the FastCGI 1.0 wire format in both directions: bytes in,
// bytes out. It does no I/O, keeps no time and starts no goroutines.
//
// Encoders append to a slice the caller owns and return it. Decoders check
// every length before they look at a byte and alias their input; they never
// copy. An input that ends too early is [ErrShort], anything else that the
// format does not allow is a [*FormatError].
//
// What always holds:
//
//   - Lengths cannot be truncated: [Header] holds them in the width of the
//     wire, and everything longer than one record is split by [AppendStream]
//     or refused with an error.
//   - Reserved bytes and padding are written as zero.
//   - A stream encoder never writes an empty record by accident: an empty
//     record means "end of stream" and is written by [AppendStreamEnd] alone.
//   - FCGI_PARAMS records end on a pair boundary. The specification does not
//     ask for it, but PHP resets a connection on which a pair crosses records
//     and flup loses the parameters.
//
// Reading begins in record.go; pairs.go, request.go and management.go are the contents of
// records.
//
// Section numbers in comments are those of the FastCGI Specification, version
// 1.0 (Mark R. Brown, Open Market, 29 April 1996).
package fcgi
