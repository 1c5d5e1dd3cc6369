package blocking

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// upgradeBuffer is how much is read of a client at a time on an upgraded connection, in bytes.
const upgradeBuffer = 16 << 10

// upgrades reports whether the request asks for another protocol that application, front and
// site can go on with.
func (c *call) upgrades() bool {
	return cgi.Upgrade(c.R) != "" && c.Site.App.Codec().TakesHTTP() && canHijack(c.w)
}

// canHijack reports whether the connection of w can be taken over.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// upgraded passes on what both sides of an upgraded connection send, until one of them ends it,
// nothing is sent for Timeouts.Upgraded, or the site is drained. What one side cannot take
// is not read from the other: nothing is kept but one buffer for each direction.
func (c *call) upgraded() error {
	conn, client, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		c.x.Out.Aborted = true // the application has switched already
		return fmt.Errorf("the client's connection cannot be upgraded: %w", err)
	}
	t := &tunnel{call: c, conn: conn}
	t.touch()
	if err := t.begin(); err != nil {
		_ = conn.Close()
		return clientError(err)
	}
	c.beside.watch(c.R.Context())
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { t.fromClient(client.Reader) })
	helpers.Go(func() { t.awaitDrain(over) })
	err = t.toClient()
	close(over)
	_ = conn.Close() // ends fromClient, and so does Interrupt
	c.beside.lease.Interrupt()
	helpers.Wait()
	c.x.Out.BytesIn += t.received
	return err
}

// tunnel is an upgraded connection.
type tunnel struct {
	call     *call
	conn     net.Conn // the client's
	active   atomic.Int64
	left     atomic.Bool // the end of what the client sends was read, or the application does not read
	closed   atomic.Bool // the application has closed the connection
	received int64       // bytes of the client's; fromClient's until that has ended
}

// touch notes that something was passed on.
func (t *tunnel) touch() { t.active.Store(time.Now().UnixNano()) }

func (t *tunnel) lastActive() time.Time { return time.Unix(0, t.active.Load()) }

// begin sends the client the header of the answer, and what the application has sent after it.
func (t *tunnel) begin() error {
	c := t.call
	_ = t.conn.SetReadDeadline(time.Time{}) // fails only if the connection is gone, and then so does writing
	w := bufio.NewWriter(tunnelWriter{t})
	status := c.x.Reply.Status
	fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	if err := c.w.Header().Write(w); err != nil {
		return err
	}
	_, _ = io.WriteString(w, "\r\n") // Flush has the error
	if err := w.Flush(); err != nil {
		return err
	}
	return t.write(c.x.First)
}

// tunnelWriter writes to the client of a tunnel, which has its time for each write.
type tunnelWriter struct{ *tunnel }

func (w tunnelWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(time.Duration(w.call.Site.Config.Timeouts.Client))); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// write passes bytes of the application on.
func (t *tunnel) write(p []byte) error {
	n, err := tunnelWriter{t}.Write(p)
	t.call.x.Out.BytesOut += int64(n)
	t.touch()
	return err
}

// toClient passes on what the application sends, until the end.
func (t *tunnel) toClient() error {
	x, lease := t.call.x, t.call.beside.lease
	for {
		until := x.UpgradeUntil(t.lastActive())
		ev, err := lease.Next(until)
		if x.UpgradeUntil(t.lastActive()).After(until) && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // the client has sent something meanwhile
		}
		data, over, err := x.UpgradeEvent(ev, err)
		switch {
		case over && (t.closed.Load() || t.hasLeft() || t.drained()):
			return nil
		case over:
			return err
		}
		if err := t.write(data); err != nil {
			return clientError(err)
		}
	}
}

// fromClient passes on what the client sends, until it ends the connection. An application that has closed
// its side gets no more; what it has said before is still the client's.
func (t *tunnel) fromClient(from io.Reader) {
	lease, buf := t.call.beside.lease, make([]byte, upgradeBuffer)
	for {
		n, err := from.Read(buf)
		if n > 0 && !t.closed.Load() {
			t.received += int64(n)
			t.touch()
			failed := lease.Body(buf, n, false)
			if errors.Is(failed, pool.ErrInterrupted) || errors.Is(failed, os.ErrDeadlineExceeded) {
				break
			}
			t.closed.Store(failed != nil)
		}
		if err != nil {
			break
		}
	}
	t.left.Store(true)
	lease.Interrupt()
}

// hasLeft reports whether the client has ended the tunnel: its end was read, or the server has told.
func (t *tunnel) hasLeft() bool { return t.left.Load() || t.call.R.Context().Err() != nil }

func (t *tunnel) drained() bool {
	select {
	case <-t.call.Site.Drained:
		return true
	default:
		return false
	}
}

// awaitDrain ends the tunnel when the site is drained.
func (t *tunnel) awaitDrain(over <-chan struct{}) {
	select {
	case <-t.call.Site.Drained:
		t.call.beside.lease.Interrupt()
	case <-over:
	}
}
