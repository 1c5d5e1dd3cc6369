//go:build linux

package loop

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/internal/framing"
)

const (
	// bodyMax is the largest body of a request that a loop serves, in bytes. Larger ones are
	// spooled, by net/http's side: what a loop holds is outside the budgets for bodies.
	bodyMax = 4 << 10
	// bodyWait is how long the rest of a small body may take.
	bodyWait = 50 * time.Millisecond
)

// take serves the request at the beginning of data, if it is there whole, and keeps the rest. The
// connection may be handed over, with data, or closed.
func (c *Conn) take(data []byte) {
	if c.header == 0 && !c.takeHeader(data) {
		if c.loop != nil {
			c.keep(data)
		}
		return
	}
	size := c.header + c.body
	if len(data) < size {
		c.rest()
		c.keep(data)
		return
	}
	r := c.loop.parser.parse(data[:c.header], &requestContext{conn: c})
	if r == nil || isForNet(r) {
		c.handOver(data)
		return
	}
	r.RemoteAddr, r.ContentLength = c.from, int64(c.body)
	site := c.loop.server.Find(r)
	if site == nil || r.ContentLength > site.Site.Config.MaxBody {
		c.handOver(data)
		return
	}
	header, body := data[:c.header], data[c.header:size]
	c.scanned, c.header, c.body = 0, 0, 0
	c.serve(site, r, header, body, data[size:])
}

// takeHeader goes on with the header at the beginning of data. It returns false if that is not
// complete, or the connection was handed over.
func (c *Conn) takeHeader(data []byte) bool {
	l, scan := c.loop, c.scan
	if scan == nil {
		scan = l.head
	}
	n, whole, bad := scan.Scan(data[c.scanned:])
	c.scanned += n
	if !whole && bad == nil {
		if c.scan == nil {
			c.scan, l.head = scan, framing.NewHead(l.server.MaxHeader)
		}
		if c.scanned == n && c.used {
			c.loop.timers.set(&c.timer, time.Time{}) // it was that of the wait for a request
		}
		return false
	}
	c.scan = nil
	length := scan.Length()
	if bad != nil || length < 0 || length > bodyMax {
		c.handOver(data)
		return false
	}
	c.header, c.body = c.scanned, int(length)
	return true
}

// isForNet reports whether a request is to be served by net/http's side, whatever the site.
func isForNet(r *http.Request) bool {
	return r.Header["Expect"] != nil || r.RequestURI == "*" || r.Method == http.MethodConnect || cgi.Upgrade(r) != ""
}
