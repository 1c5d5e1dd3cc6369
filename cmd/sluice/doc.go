// Command sluice is the gate as a program of its own: an HTTP server in front of
// one application that speaks FastCGI, SCGI or uwsgi. "sluice serve --help" lists what it can be told.
//
// Exit status: 0 after a drain that was asked for, 1 if something failed while it
// ran, 2 if it could not start with what it was told.
package main
