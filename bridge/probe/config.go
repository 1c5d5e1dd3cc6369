package probe

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Config says what to probe, and within which limits.
type Config struct {
	// Address names the application in reports and errors.
	Address string
	// Network and Addr are its address for net.Dial.
	Network, Addr string
	// Dial connects to it. Default: a net.Dialer with Network and Addr.
	Dial func(context.Context) (net.Conn, error)
	// Path is the path of the requests, optionally with a query. Any answer is sufficient, errors
	// included. Default: "/".
	Path string
	// Script is the file that PHP or fcgiwrap is to run. Default: none, and they answer with an
	// error.
	Script string
	// Max is the greatest number of connections open at once. Default: 256.
	Max int
	// Timeout bounds the whole probe. Default: 30 s.
	Timeout time.Duration
}

// Defaults of Config.
const (
	DefaultPath    = "/"
	DefaultMax     = 256
	DefaultTimeout = 30 * time.Second
)

// Check returns the error that Run would return for an invalid c.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults returns c with defaults filled in, and checks it.
func (c Config) withDefaults() (Config, error) {
	c.Path = cmp.Or(c.Path, DefaultPath)
	c.Max = cmp.Or(c.Max, DefaultMax)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if c.Dial == nil {
		network, addr := c.Network, c.Addr
		c.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
	}
	switch {
	case !strings.HasPrefix(c.Path, "/"):
		return c, fmt.Errorf("probe: path %q: must begin with \"/\"", c.Path)
	case c.Script != "" && !path.IsAbs(c.Script):
		return c, fmt.Errorf("probe: script %q: must be an absolute path, as the application sees it", c.Script)
	case c.Max < 0:
		return c, fmt.Errorf("probe: at most %d connections: want 1 or more", c.Max)
	case c.Timeout < 0:
		return c, fmt.Errorf("probe: timeout %v: must not be negative", c.Timeout)
	}
	vars, err := c.variables()
	if err != nil {
		return c, err
	}
	if _, err := codec.Size(&upstream.Request{Vars: vars}); err != nil {
		return c, fmt.Errorf("probe: %w", err)
	}
	return c, nil
}
