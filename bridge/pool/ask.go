package pool

import (
	"io"
	"net"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// askTimeout is how long an application may take to say whether it multiplexes.
// Most answer at once; uWSGI never does.
const askTimeout = 250 * time.Millisecond

// ask asks the application on a new connection whether it multiplexes
// connections. It returns a connection that can be used: that one, or another if
// the question was too much for it.
//
// The question has exactly one name: libfcgi stays silent when asked for more.
func (p *Pool) ask(in *instance, nc net.Conn, w *waiter) (net.Conn, verdict, error) {
	answer, intact := multiplexes(nc)
	if intact {
		return nc, answer, nil
	}
	_ = nc.Close() // nothing was asked of it that matters
	nc, err := p.connect(in, w)
	return nc, answer, err
}

// multiplexes returns what the application answers, and whether the connection can
// be used after it.
func multiplexes(nc net.Conn) (answer verdict, intact bool) {
	if nc.SetDeadline(time.Now().Add(askTimeout)) != nil {
		return noAnswer, false
	}
	if _, err := nc.Write(fcgi.AppendGetValues(nil, fcgi.MpxsConns)); err != nil {
		return noAnswer, false
	}
	var head [fcgi.HeaderLen]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		if isTimeout(err) {
			return no, false
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
	values, err := fcgi.DecodeGetValuesResult(content[:h.ContentLength])
	if err != nil {
		return no, false
	}
	answer = no
	for _, v := range values {
		if v.Name == fcgi.MpxsConns && v.Value == "1" {
			answer = yes
		}
	}
	return answer, nc.SetDeadline(time.Time{}) == nil
}
