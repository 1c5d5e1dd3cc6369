package bridge

import "github.com/sluice-proxy/sluice/bridge/admission"

// Requests returns the requests that hold a worker, the oldest first, at most n of them.
func (a *Application) Requests(n int) []admission.InFlight {
	all := a.app.Gate.InFlight()
	return all[:min(n, len(all))]
}
