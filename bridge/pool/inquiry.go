package pool

import (
	"io"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// manner is how an application answers questions on a connection that it is to keep.
type manner uint8

const (
	notAtAll     manner = iota // it has not read them, as far as can be seen
	readOnly                   // it has read them, and says nothing
	hungUp                     // it has closed the connection
	plainly                    // in some way
	multiplexing               // it says that it multiplexes
	asLibfcgi                  // with what is fixed in libfcgi: one connection, one request, no multiplexing
)

// libfcgiValues are libfcgi's answers, whatever the program. It is asked for one at a
// time: it says nothing when asked for several.
var libfcgiValues = [...]fcgi.Value{{Name: fcgi.MpxsConns, Value: "0"}, {Name: fcgi.MaxConns, Value: "1"}, {Name: fcgi.MaxReqs, Value: "1"}}

// ask asks on a connection that no request uses, until a time at most.
func (c *conn) ask(until time.Time) manner {
	c.records.asked = true // an answer may come too late
	for _, libfcgi := range libfcgiValues {
		values, err := c.question(libfcgi.Name, until)
		shares := slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"})
		switch {
		case isTimeout(err) && c.caughtUp():
			return readOnly
		case isTimeout(err):
			return notAtAll
		case err != nil:
			return hungUp
		case shares:
			return multiplexing
		case !slices.Contains(values, libfcgi):
			return plainly
		}
	}
	return asLibfcgi
}

// question asks for one value.
func (c *conn) question(name string, until time.Time) ([]fcgi.Value, error) {
	if err := c.write(fcgi.AppendGetValues(nil, name), until); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(until); err != nil {
		return nil, err
	}
	if c.interrupted.Load() {
		return nil, ErrInterrupted
	}
	var head [fcgi.HeaderLen]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return nil, err
	}
	return readValuesAfter(c.Conn, head[:])
}
