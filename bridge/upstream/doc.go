// Package upstream is the seam between the connections to an application (package pool)
// and the protocol that is spoken on them: FastCGI in [bridge/upstream/fastcgi], and
// whatever else implements [Codec].
//
// A Codec turns a [Request] into bytes and an application's bytes into [Event]s. Like
// package fcgi it does no I/O, keeps no time and starts no goroutines.
//
// Protocols differ in kind, and a Codec says how, so that nobody has to ask which one it
// is:
//
//   - Whether a connection carries one request after the other: [Codec.KeepAlive].
//   - Whether it carries several at the same time: the Codec is a [Multiplexer].
//   - Whether the application can be asked something while it works on no request: the
//     Codec is an [Inquirer].
//   - Whether the end of the connection ends an answer, or cuts it short: [Decoder.EOF].
//   - Whether there are log lines beside the output, and reasons why a request was not
//     run: the Decoder returns [Log] events, and errors with [End], or does not.
//
// The header of an answer is output, and package cgi parses it: FastCGI, SCGI and uwsgi
// answer with a CGI header, and what HTTP/1.1 answers with is one, too ("HTTP/1.1 200 OK"
// for the status line, RFC 3875, section 5).
package upstream
