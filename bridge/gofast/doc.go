// Package gofast lets programs that use github.com/yookoala/gofast have their requests go through
// a bridge.Handler: its gate, its connections and its processes. The program keeps its session
// handlers and middleware, and changes the line that names the application:
//
//	factory := gofast.SimpleConnFactory("unix", "/run/app.sock") // before
//	factory := sluicegofast.ConnFactory(handler)                 // after
//
// A connection is a pipe in this process, on which package cgiserver speaks FastCGI. It costs the
// application nothing: package pool connects to that.
//
// What always holds:
//
//   - A connection ends when gofast closes it, which ends its requests. So does ClientPool.
//   - The handler is not closed. After its Close, requests are answered with 503.
//
// gofast's client takes the end of a connection for the end of an answer. If an answer without a
// Content-Length is truncated, its caller is not told.
package gofast
