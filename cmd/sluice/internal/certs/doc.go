// Package certs has the certificates of a server: those in files, which are read again when they
// change, and those that are obtained from a certificate authority by ACME. Begin with store.go.
//
// What always holds:
//
//   - A handshake gets a certificate that fits the name which the client asks for, if there is one. A
//     name whose certificate is being obtained never gets another's.
//   - A file that is broken, or a key that does not fit, changes nothing: the certificate that was read
//     before stays in use, and the log says so once.
//   - A certificate authority that is down holds up nothing but its own certificates.
//   - A staple that is sent is a good one, and valid. A responder that is away holds up nothing.
//   - What is kept on the disk can be read by the server's user only.
package certs
