// Command sluice is the gate as a program of its own: an HTTP server in front of
// applications that speak FastCGI, SCGI, uwsgi or HTTP. "sluice serve --help" lists its flags. Begin with
// serve.go: options.go has the flags and setup.go what they or a file mean, generation.go makes sites and
// applications of it, server.go keeps these over reloads, frontserver.go is the server for clients,
// status.go the one for the state, which statuscmd.go shows in a terminal.
//
// The exit status is 0 after a drain by a signal, 1 after a failure while it ran, and 2 if the command
// line or the configuration was invalid. That of "sluice status" is the state's.
package main
