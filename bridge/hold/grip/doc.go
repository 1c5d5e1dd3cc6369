// Package grip reads and writes GRIP, the protocol of Pushpin and Fastly Fanout in which applications
// have a proxy hold clients, and publish messages for them: bytes and words only, without I/O.
//
// Begin with instruct.go, which reads what an application's answer says: Grip-* fields, or
// application/grip-instruct JSON. items.go reads what a publisher sends, sig.go signs requests and
// checks who publishes.
//
// What always holds:
//
//   - What is malformed, unknown or too large is an error that names it. Nothing is dropped silently
//     but ws-message formats, for which there are no clients.
//   - A field that is read from JSON can be sent: its name is a token, its value has no line end, and
//     it does not say how long a body is or what becomes of a connection.
package grip
