// Package upstream is the interface between the connections to an application (package
// pool) and the protocol that is spoken on them. Packages upstream/fastcgi, upstream/scgi,
// upstream/uwsgi and upstream/http1 implement it.
//
// A [Codec] encodes a [Request], and its [Decoder] decodes what the application sends
// into [Event]s. Like package fcgi they do no I/O, keep no time and start no goroutines.
//
// Where protocols differ in kind, the codec says how, and package pool and the exchange do not
// ask which protocol it is:
//
//   - A connection carries further requests after the first, or it does not:
//     [Codec.KeepAlive].
//   - A connection carries several requests at the same time: the codec is a
//     [Multiplexer].
//   - The application can be asked about itself while it has no request: the codec is a
//     [Querier].
//   - The end of the connection completes an answer, or truncates it: [Decoder.EOF].
//   - The application sends log lines beside its answer, or says why it has not run a
//     request: the decoder returns [Log] events, and [End] events with an error.
//   - Requests are made of meta-variables or of an HTTP header: [Codec.TakesHTTP].
//
// Two places do ask. bridge/internal/app chooses the codec (codec.go), and knows what servers of
// a protocol are like (connections.go: uWSGI lets connections wait). Package config refuses
// settings that mean nothing in a protocol.
//
// The header of an answer is part of its output, and [Codec.ParseHeader] parses it: the
// answers of FastCGI, SCGI and uwsgi begin with a CGI header.
//
// Reading begins in codec.go; event.go is what a decoder returns, buffer.go holds the bytes
// for it.
package upstream
