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
		b.proxyNotices.untrusted(b, r, c)
	case c.Trusted && c.Refused != nil && c.Refused.Status == http.StatusBadRequest:
		b.proxyNotices.malformed(b, r, c)
	}
}

// proxyNotices tells the log what is wrong with the proxies in front, each thing once:
// clients can cause all of them.
type proxyNotices struct{ private, public, broken atomic.Bool }

// untrusted reports forwarded fields from a peer that is not trusted: once for a peer in
// a private network, which may be a proxy that is missing in TrustedProxies, and once for
// a public one, which may be any client.
func (n *proxyNotices) untrusted(b *Bridge, r *http.Request, c *cgi.Client) {
	if n.private.Load() && n.public.Load() {
		return
	}
	fields := b.mapper.ForwardedFields(r.Header)
	if len(fields) == 0 {
		return
	}
	peer, told, level := strings.TrimSuffix(c.Addr, ":"), &n.private, slog.LevelWarn
	if addr, err := netip.ParseAddr(peer); err == nil && !addr.IsLoopback() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() {
		told, level = &n.public, slog.LevelInfo
	}
	if told.Swap(true) {
		return
	}
	b.cfg.Logger.Log(context.Background(), level, "forwarded fields are ignored: the peer is not in trusted_proxies",
		"peer", peer, "fields", strings.Join(fields, ", "),
		"remedy", "if the peer is your proxy, add --trusted-proxy "+peer+" (trusted_proxies); otherwise there is nothing to do")
}

// malformed reports a trusted proxy that passes on forwarded fields that cannot be used.
func (n *proxyNotices) malformed(b *Bridge, r *http.Request, c *cgi.Client) {
	if n.broken.Swap(true) {
		return
	}
	b.cfg.Logger.Warn("a trusted proxy has sent malformed forwarded fields; such requests are answered with 400, and this is logged once",
		"error", c.Refused.Error(), "client", c.Addr, "path", r.URL.Path)
}
