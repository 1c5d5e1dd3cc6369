package bridge

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Client returns the address r comes from, as far as it can be trusted.
func (h *Handler) Client(r *http.Request) string {
	var c cgi.Client
	h.identify(r, &c)
	return c.Addr
}

// identify sets c to the client that r comes from.
func (h *Handler) identify(r *http.Request, c *cgi.Client) {
	h.serves.Mapper.Identify(r, c)
	if h.cfg.Identify != nil {
		trusted := c.Trusted
		h.cfg.Identify(r, c)
		if !h.cfg.SameForAllPaths {
			h.identifyOthers(r, c)
		}
		if c.Trusted && !trusted { // the front knows the proxy
			h.serves.Mapper.UserOf(r, c)
		}
	}
	switch {
	case !c.Trusted && !c.Relayed:
		h.proxies.untrusted(h, r, c)
	case c.Trusted && c.Refused != nil && c.Refused.Status == http.StatusBadRequest:
		h.proxies.malformed(h, r, c)
	}
}

// identifyOthers has c be identified for the other paths that r leads to, all of which it must be allowed to see.
func (h *Handler) identifyOthers(r *http.Request, c *cgi.Client) {
	if c.Refused != nil {
		return
	}
	for _, path := range h.serves.Mapper.OtherPaths(r) {
		if c.Refused == nil {
			h.cfg.Identify(atPath(r, path), c)
		}
	}
}

// atPath returns r as a request for another path.
func atPath(r *http.Request, path string) *http.Request {
	moved, u := *r, *r.URL
	u.Path, u.RawPath = path, ""
	moved.URL = &u
	return &moved
}

// proxyNotices tells the log what is wrong with the proxies in front, each thing once:
// clients can cause all of them.
type proxyNotices struct{ private, public, broken atomic.Bool }

// untrusted reports forwarded fields from a peer that is not trusted: once for a peer in
// a private network, which may be a proxy that is missing in TrustedProxies, and once for
// a public one, which may be any client.
func (n *proxyNotices) untrusted(h *Handler, r *http.Request, c *cgi.Client) {
	if n.private.Load() && n.public.Load() {
		return
	}
	fields := h.serves.Mapper.ForwardedFields(r.Header)
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
	h.cfg.Logger.Log(context.Background(), level, "forwarded fields are ignored: the peer is not in trusted_proxies",
		"peer", peer, "fields", strings.Join(fields, ", "),
		"remedy", "if the peer is your proxy, add --trusted-proxy "+peer+" (trusted_proxies); otherwise there is nothing to do")
}

// malformed reports a trusted proxy that passes on forwarded fields that cannot be used.
func (n *proxyNotices) malformed(h *Handler, r *http.Request, c *cgi.Client) {
	if n.broken.Swap(true) {
		return
	}
	h.cfg.Logger.Warn("a trusted proxy has sent malformed forwarded fields; such requests are answered with 400, and this is logged once",
		"error", c.Refused.Error(), "client", c.Addr, "path", r.URL.Path, "advice", "have the proxy set the fields and not pass on its clients'")
}

// noticedFields is how many names of fields the log is told of. Clients choose them.
const noticedFields = 8

// fieldNotices tells the log of request fields that are not passed on, each name once.
type fieldNotices struct {
	mu   sync.Mutex
	told map[string]bool
}

func (n *fieldNotices) dropped(log *slog.Logger) func(name string) {
	return func(name string) {
		if n.first(name) {
			log.Info("a request field is not passed to the application: names with \"_\" can be passed off as others",
				"field", name, "remedy", "have clients write \"-\"; or, if the application needs it so, add --underscore-headers (underscore_headers)")
		}
	}
}

// first reports whether the log is to be told of a name.
func (n *fieldNotices) first(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told[name] || len(n.told) >= noticedFields || len(name) > 100 {
		return false
	}
	if n.told == nil {
		n.told = make(map[string]bool)
	}
	n.told[name] = true
	return true
}
