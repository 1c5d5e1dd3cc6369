package bridge

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Client returns the address r comes from, as far as it can be trusted.
func (b *Bridge) Client(r *http.Request) string {
	var c cgi.Client
	b.identify(r, &c)
	return c.Addr
}

// StaticFile returns the file under Root that r asks for, if there is one that may
// be sent as it is, and to this client: no script, no dotfile. The bridge itself answers
// it with 404, or with why the client may not have it.
func (b *Bridge) StaticFile(r *http.Request) (name string, ok bool) {
	if name, ok = b.mapper.StaticFile(r); !ok {
		return "", false
	}
	var c cgi.Client
	b.identify(r, &c)
	return name, c.Refused == nil
}

// identify sets c to the client that r comes from.
func (b *Bridge) identify(r *http.Request, c *cgi.Client) {
	b.mapper.Identify(r, c)
	if b.cfg.Identify != nil {
		trusted := c.Trusted
		b.cfg.Identify(r, c)
		if c.Trusted && !trusted { // the front knows the proxy
			b.mapper.UserOf(r, c)
		}
	}
	switch {
	case !c.Trusted && !c.Relayed:
		b.strangers.note(b, r, c)
	case c.Refused != nil && c.Refused.Status == http.StatusBadRequest && !b.misled.Swap(true):
		b.cfg.Logger.Warn("a trusted proxy passes on what it must not: such requests are refused; this is said once",
			"error", c.Refused.Error(), "client", c.Addr, "path", r.URL.Path)
	}
}

// strangers tells the log of fields that are not believed, because they come from a peer
// that is no trusted proxy: once of one nearby, which may be a proxy that somebody has
// forgotten to name, and once of one far away, which may be anybody.
type strangers struct{ near, far atomic.Bool }

func (s *strangers) note(b *Bridge, r *http.Request, c *cgi.Client) {
	if s.near.Load() && s.far.Load() {
		return
	}
	fields := b.mapper.ForwardedFields(r.Header)
	if len(fields) == 0 {
		return
	}
	peer, told, level := strings.TrimSuffix(c.Addr, ":"), &s.near, slog.LevelWarn
	if addr, err := netip.ParseAddr(peer); err == nil && !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() {
		told, level = &s.far, slog.LevelInfo
	}
	if told.Swap(true) {
		return
	}
	b.cfg.Logger.Log(context.Background(), level, "fields that only a trusted proxy is believed are ignored: the peer is not in trusted_proxies",
		"peer", peer, "fields", strings.Join(fields, ", "), "remedy", "if it is your proxy, name it: --trusted-proxy "+peer+" (trusted_proxies in a configuration); if not, all is well")
}
