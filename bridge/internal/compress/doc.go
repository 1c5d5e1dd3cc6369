// Package compress decides which answers of a site are compressed, and compresses them.
//
// Start with site.go, which decides. encoder.go compresses, bytes to bytes, without I/O.
//
// What always holds:
//
//   - What must not be changed is not: streams of events, parts of files, what is encoded already, what
//     has a digest, and what is marked no-transform.
//   - An answer of which the application may have sent only a part has no end: the last bytes of gzip
//     and zstd, with their checksum, come from [Encoder.End] alone.
//   - A site has at most as many encoders as Most says. If all are used, an answer is sent as it is.
//   - Answers that might have been compressed have Vary: Accept-Encoding, whether they were or not.
package compress
