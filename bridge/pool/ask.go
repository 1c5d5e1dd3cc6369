package pool

import (
	"io"
	"net"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// On a new connection the application may be asked whether it multiplexes
// (FCGI_MPXS_CONNS). The answer is of use twice: it says whether requests can share
// the connection, and it proves that somebody reads it, that is, that it was not
// accepted to be closed because the application is full. Nothing is lost if it is:
// no request was sent. Every server measured serves requests on the connection after
// the question, answered or not.
const (
	// askTimeout is how long an application that serves others meanwhile may take to
	// answer. Most answer at once; uWSGI never does.
	askTimeout  = 250 * time.Millisecond
	writeWithin = 5 * time.Second // and the question to be written
	// startPatience is how long one may take that serves nothing meanwhile: its socket
	// may have been made before it, or it is stopped.
	startPatience = 2 * time.Second
	// startAgain is when such a one is asked again, silentAgain one that served others.
	startAgain  = 10 * time.Second
	silentAgain = 10 * time.Minute
)

// reply is what came of a question.
type reply uint8

const (
	unasked   reply = iota
	silent          // nothing, although it served others meanwhile
	stalled         // nothing, and it served nobody, for startPatience or after it turned one away
	undecided       // nothing, for less than that
	ended           // the application closed the connection
	single          // it answered that it does not multiplex, or nothing that says so
	shared          // it answered that it multiplexes
)

// proof reports whether somebody reads the connection.
func (r reply) proof() bool { return r == single || r == shared }

// verdict is what an answer says of whether the application multiplexes.
func (r reply) verdict() verdict {
	if r == shared {
		return yes
	}
	return no
}

// ask asks on a new connection. It gives up when that is not needed any more.
func (p *Pool) ask(d *dial, nc net.Conn) reply {
	// It fits into the socket's buffer, so this waits for nobody but the processor.
	if nc.SetWriteDeadline(time.Now().Add(writeWithin)) != nil {
		return ended
	}
	if _, err := nc.Write(fcgi.AppendGetValues(nil, fcgi.MpxsConns)); err != nil {
		return ended
	}
	if nc.SetWriteDeadline(time.Time{}) != nil || nc.SetReadDeadline(time.Now().Add(askTimeout)) != nil {
		return ended
	}
	begun := time.Now()
	var head [fcgi.HeaderLen]byte
	for last := false; ; {
		n, err := io.ReadAtLeast(nc, head[:], len(head))
		if err == nil {
			break
		}
		if n > 0 || !isTimeout(err) {
			return ended
		}
		if last {
			return openUnless(nc.SetReadDeadline(time.Time{}), p.silence(d.conn.inst, begun))
		}
		wait := askTimeout
		if last = !p.keepAsking(d, begun); last {
			wait = time.Millisecond // an answer may be there that there was no processor to read in time
		}
		if nc.SetReadDeadline(time.Now().Add(wait)) != nil {
			return ended
		}
	}
	if nc.SetReadDeadline(time.Now().Add(askTimeout)) != nil {
		return ended
	}
	values, err := readValuesAfter(nc, head[:])
	if err != nil {
		return ended
	}
	answer := single
	if slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"}) {
		answer = shared
	}
	return openUnless(nc.SetReadDeadline(time.Time{}), answer)
}

// readValuesAfter reads the rest of an answer whose header has come. What makes no sense
// in it says nothing.
func readValuesAfter(nc net.Conn, head []byte) ([]fcgi.Value, error) {
	h, err := fcgi.DecodeHeader(head)
	if err != nil {
		return nil, err
	}
	if !isReply(h) {
		return nil, &fcgi.FormatError{What: h.Type.String(), Why: "it is no answer to FCGI_GET_VALUES"}
	}
	content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
	if _, err := io.ReadFull(nc, content); err != nil {
		return nil, err
	}
	if h.Type == fcgi.TypeUnknown {
		return nil, nil
	}
	values, err := fcgi.DecodeGetValuesResult(content[:h.ContentLength])
	if err != nil {
		return nil, nil
	}
	return values, nil
}

// isReply reports whether a record answers a question. An application that knows no
// questions says FCGI_UNKNOWN_TYPE (section 4.2), which proves that it reads as well.
func isReply(h fcgi.Header) bool {
	return h.RequestID == fcgi.ManagementID && (h.Type == fcgi.TypeGetValuesResult || h.Type == fcgi.TypeUnknown)
}

func openUnless(err error, r reply) reply {
	if err != nil {
		return ended
	}
	return r
}

// servesBeside reports whether others were answered some time after a question was
// asked: what was answered right after it may have been the last before a stop.
func (in *instance) servesBeside(asked time.Time) bool {
	return in.served.After(asked.Add(askTimeout / 2))
}

// acceptsAt reports whether the application accepted a connection not long before a
// question was asked, if only to close it: it is not taken for one that is starting or
// stopped, and the connection that it was asked on would be closed at once if there were
// no room for it.
func (in *instance) acceptsAt(asked time.Time) bool {
	return !in.observed.shutAt.IsZero() && asked.Sub(in.observed.shutAt) < growEvery
}

// silence tells an application that does not answer from one that does nothing.
func (p *Pool) silence(in *instance, begun time.Time) reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case in.servesBeside(begun):
		return silent
	case time.Since(begun) < startPatience && !in.acceptsAt(begun):
		return undecided
	}
	return stalled
}

// keepAsking reports whether an answer that has not come for askTimeout may still. Of
// an application that answered before it will, or the connection is closed, unless it
// goes on serving others: then it is another one by now. One that never answered, and
// serves others meanwhile or has just turned one away, does not answer. One that serves
// nobody may be starting, or stopped. Where a request need not be sure that somebody reads
// the connection, it waits no longer for an application that is stopped.
func (p *Pool) keepAsking(d *dial, begun time.Time) bool {
	in, w := d.conn.inst, d.w
	select {
	case <-w.done:
		return false
	case <-d.ctx.Done():
		return false
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	patient := time.Since(begun) < startPatience
	serves := in.servesBeside(begun)
	switch {
	case in.habits.answers && !d.tries:
		return patient || !serves
	case serves, in.acceptsAt(begun), !w.demand.Settled && !in.served.IsZero():
		return false // it is of no use to the request
	}
	return patient
}
