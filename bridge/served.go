package bridge

import (
	"errors"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
)

// Served is for package front: what it needs to drive the requests of h by itself. Its error says
// which hook of h is not called by it.
func (h *Handler) Served() (blocking.Served, error) {
	switch {
	case h.cfg.ErrorHandler != nil:
		return blocking.Served{}, errors.New("bridge: package front does not call ErrorHandler")
	case h.cfg.ActsOnSendfile != nil:
		return blocking.Served{}, errors.New("bridge: package front does not call ActsOnSendfile")
	}
	return blocking.Served{Site: &h.serves, Arrive: func() { h.inFlight.Add(1) }, Depart: h.depart}, nil
}
