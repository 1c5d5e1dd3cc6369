package pool

import (
	"io"
	"net"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// askTimeout is how long an application may take to say whether it multiplexes.
// Most answer at once; uWSGI never does.
const askTimeout = 250 * time.Millisecond

// ask asks the application on a new connection whether it multiplexes connections.
// It returns a connection that can be used: that one, which every server measured
// serves requests on after the question, answered or not, or another if the
// application closed it.
func (p *Pool) ask(in *instance, nc net.Conn, w *waiter) (net.Conn, verdict, error) {
	answer, open := multiplexes(nc)
	if open {
		return nc, answer, nil
	}
	_ = nc.Close() // nothing was asked of it that matters
	if err := p.pause(p.cfg.CloseDelay); err != nil {
		return nil, answer, err
	}
	nc, err := p.connect(in, w)
	return nc, answer, err
}

// pause waits for d, or for the pool to be closed.
func (p *Pool) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.ctx.Done():
		return ErrClosed
	}
}

// multiplexes returns what the application answers, and whether the connection is
// still open.
func multiplexes(nc net.Conn) (answer verdict, open bool) {
	if nc.SetDeadline(time.Now().Add(askTimeout)) != nil {
		return noAnswer, false
	}
	if _, err := nc.Write(fcgi.AppendGetValues(nil, fcgi.MpxsConns)); err != nil {
		return noAnswer, false
	}
	var head [fcgi.HeaderLen]byte
	if n, err := io.ReadFull(nc, head[:]); err != nil {
		if n == 0 && isTimeout(err) {
			return silent, nc.SetDeadline(time.Time{}) == nil
		}
		return noAnswer, false
	}
	h, err := fcgi.DecodeHeader(head[:])
	if err != nil || h.Type != fcgi.TypeGetValuesResult || h.RequestID != fcgi.ManagementID {
		return no, false
	}
	content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
	if _, err := io.ReadFull(nc, content); err != nil {
		return no, false
	}
	answer = no
	values, err := fcgi.DecodeGetValuesResult(content[:h.ContentLength])
	if err == nil && slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"}) {
		answer = yes
	}
	return answer, nc.SetDeadline(time.Time{}) == nil
}
