package app

import (
	"errors"
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// ErrOtherKind says that an application cannot become what a configuration asks for while it is
// in use, or serve such a site: that needs an Application of its own.
var ErrOtherKind = errors.New("this cannot be changed while the application is in use")

// address is where an instance is, however it is written.
type address struct{ network, addr string }

// addressOf is for what may be no address: that is then like no other.
func addressOf(backend string) address {
	network, addr, err := config.ParseAddress(backend)
	if err != nil {
		return address{"", backend}
	}
	return address{network, addr}
}

// canFollow returns ErrOtherKind with the key if next needs a new Application. Both are complete:
// Multiplex is resolved, which depends on KeepAlive.
func canFollow(now, next *config.Application) error {
	key := next.NeedsBackend(now)
	switch key {
	case "":
		return nil
	case "multiplex":
		key = "multiplex, keep_alive"
	}
	return fmt.Errorf("%s: %w", key, ErrOtherKind)
}

// Agree returns nil if the two configurations are equal, defaults filled in, so that one
// Application can serve the sites of both. Otherwise the error names the first key in which they
// differ, and both values.
func Agree(one, two config.Application) error {
	for _, app := range []*config.Application{&one, &two} {
		if err := Complete(app); err != nil {
			return err
		}
	}
	return one.Differs(&two)
}
