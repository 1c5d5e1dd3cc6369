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

// ask asks the application on a new connection whether it multiplexes
// connections. It returns a connection that can be used: that one if it does, else
// another. PHP closes the connection after its answer, a moment later, and a
// request must not meet that.
func (p *Pool) ask(in *instance, nc net.Conn, w *waiter) (net.Conn, verdict, error) {
	answer := multiplexes(nc)
	if answer == yes {
		return nc, answer, nil
	}
	_ = nc.Close() // nothing was asked of it that matters
	nc, err := p.connect(in, w)
	return nc, answer, err
}

// multiplexes returns what the application answers. The question has exactly one
// name: libfcgi stays silent when asked for more.
func multiplexes(nc net.Conn) verdict {
	if nc.SetDeadline(time.Now().Add(askTimeout)) != nil {
		return noAnswer
	}
	if _, err := nc.Write(fcgi.AppendGetValues(nil, fcgi.MpxsConns)); err != nil {
		return noAnswer
	}
	var head [fcgi.HeaderLen]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		if isTimeout(err) {
			return no
		}
		return noAnswer
	}
	h, err := fcgi.DecodeHeader(head[:])
	if err != nil || h.Type != fcgi.TypeGetValuesResult || h.RequestID != fcgi.ManagementID {
		return no
	}
	content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
	if _, err := io.ReadFull(nc, content); err != nil {
		return no
	}
	values, err := fcgi.DecodeGetValuesResult(content[:h.ContentLength])
	if err != nil || !slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"}) || nc.SetDeadline(time.Time{}) != nil {
		return no
	}
	return yes
}
