// Package demo shows the gate at work: two copies of one application, one behind the gate and one
// behind a plain queue, get the same requests, and a page shows them side by side.
//
// Begin with demo.go. app.go is the application, a process of its own that Sluice starts; hub.go is
// the parent's end of its control connection. side.go is one copy with what is in front of it, load.go
// its clients, and page.go the page with its controls (static/).
package demo
