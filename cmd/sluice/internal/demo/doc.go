// Package demo shows the gate at work. Twice: two copies of one application, one behind the gate and
// one behind a plain queue, get the same requests. Fleet: two gates share one application. A page and a
// table show both sides beside each other.
//
// Begin with demo.go, which shows a scene: twice.go or fleet.go. app.go is the application and gate.go a
// gate of the fleet, processes of their own; part.go is what they have in common, and hub.go the parent's
// end of their control connections. engine.go is the fleet's engine. side.go is what both scenes know of a
// side, load.go its clients, settings.go what these do, and page.go the page with its controls (static/).
package demo
