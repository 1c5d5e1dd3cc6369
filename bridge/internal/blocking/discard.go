package blocking

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// A client that is answered while it sends its body may go on sending for a while. Most
// clients read the answer only when they have sent everything, and a connection that is
// closed with bytes unread is reset: they would see that instead of the answer.
const (
	DiscardFor    = 10 * time.Second // in all
	DiscardPause  = 2 * time.Second  // without a byte
	discardMost   = 1 << 30          // bytes
	discardBuffer = 4 << 10          // bytes that are read at a time
	// How many clients' bodies may be discarded at a time, and how many of one client.
	discardsMost, discardsOfOne = 512, 32
	// smallBody is up to how many bytes of an unread body a connection is kept for.
	smallBody = 64 << 10
)

// Discards counts the bodies that are being discarded.
type Discards struct {
	mu  sync.Mutex
	all int
	of  map[spool.Client]int
}

// begin reports whether another body of that client may be discarded; then end must be
// called. Those of whom nothing is known are many.
func (d *Discards) begin(client spool.Client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= discardsMost || d.of[client] >= discardsOfOne && client != (spool.Client{}) {
		return false
	}
	if d.of == nil {
		d.of = make(map[spool.Client]int)
	}
	d.all++
	d.of[client]++
	return true
}

// Len returns how many bodies are being discarded.
func (d *Discards) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all
}

func (d *Discards) end(client spool.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.of[client]--; d.of[client] == 0 {
		delete(d.of, client)
	}
}

// unread reports whether the client may still be sending its body. HTTP/2, HTTP/3 and FastCGI
// can stop a client without closing its connection.
func (c *call) unread() bool {
	r := c.original
	return !c.bodyHere && r.ProtoMajor == 1 && cgi.ReceivedOf(r) == nil && hasBody(r) && (c.source == nil || !c.source.isWhole())
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// endConnection prepares an answer that is sent before the body was read. net/http must not
// wait for the body before it sends the answer, and must not take the rest of the body for
// a request. The connection is kept only if the body is small. In a drain, none is kept.
func (c *call) endConnection(h http.Header) {
	if c.Site.Draining() {
		h.Set("Connection", "close")
		return
	}
	if !c.unread() {
		return
	}
	r := c.original
	small := r.ContentLength > 0 && r.ContentLength <= smallBody && r.Header.Get("Expect") == ""
	if small && c.source == nil && http.NewResponseController(c.w).EnableFullDuplex() == nil {
		c.keepIfRead = true
		return
	}
	h.Set("Connection", "close")
}

// discardBody reads and drops what the client still sends of its body after the answer. The
// request holds only its goroutine and its connection at that time.
func (c *call) discardBody() {
	if c.x.Out.Aborted || !c.unread() {
		return
	}
	if c.sentFile && c.source == nil {
		return // net/http has read what there was before it sent the header, or ends the connection
	}
	rc := http.NewResponseController(c.w)
	if c.handedOver {
		if c.original.Header.Get("Expect") != "" {
			return // it would be asked for the body
		}
	} else {
		c.clientWriter().extend() // the body may have taken longer than an answer may
		if rc.Flush() != nil {
			return
		}
	}
	whole := false
	if client := spool.ClientOf(c.x.Who.Addr); c.Site.Application.Discards.begin(client) {
		whole = discard(rc, c.original, c.readLimit())
		c.Site.Application.Discards.end(client)
	}
	if whole {
		_ = rc.SetReadDeadline(time.Time{}) // see clientReader.done
		return
	}
	_ = rc.SetReadDeadline(time.Unix(1, 0)) // net/http is not to wait for the rest either
	if c.handedOver {
		c.w.Header().Set("Connection", "close")
		return
	}
	c.x.Out.Aborted = c.keepIfRead // the rest is no request
}

// discard reports whether the body was read to its end. It reads until limit at most, if
// that is not zero.
func discard(rc *http.ResponseController, r *http.Request, limit time.Time) bool {
	buf := make([]byte, discardBuffer)
	end := earlier(time.Now().Add(DiscardFor), limit)
	for n := 0; n < discardMost; {
		now := time.Now()
		if !now.Before(end) || rc.SetReadDeadline(now.Add(DiscardPause)) != nil {
			return false
		}
		m, err := r.Body.Read(buf)
		if err != nil {
			return err == io.EOF
		}
		n += m
	}
	return false
}
