package pool

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// overSocket is a connection over a real socket, on which a query was sent, and the other
// end of the socket.
func overSocket(t *testing.T) (c *conn, far net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	c = &conn{inst: &instance{}}
	c.attach(near, codec)
	c.open()
	c.queried = true
	return c, far
}

// sendAnswer has the application reply. The reply can be read at once.
func sendAnswer(t *testing.T, far net.Conn) {
	t.Helper()
	if _, err := far.Write(fcgi.AppendGetValuesResult(nil, fcgi.Value{Name: fcgi.MpxsConns, Value: "0"})); err != nil {
		t.Fatal(err)
	}
}

// A process is back when it has answered, whether that came before anybody looked or not.
func TestAnswerHasComeBefore(t *testing.T) {
	c, far := overSocket(t)
	p := new(Pool)
	p.cfg.Store(&Config{Codec: codec})
	for range 3 {
		p.queryBack(c)
		if !c.hasUnread() {
			t.Fatal("it has not answered, and is back")
		}
		sendAnswer(t, far)
		if c.hasUnread() || !c.usable() {
			t.Fatal("it has answered, and is not back")
		}
	}
	p.queryBack(c)
	far.Close()
	if c.hasUnread() || c.usable() {
		t.Error("the connection has ended, and is used")
	}
}

// A late reply to a query shows that the connection was accepted, and that what was sent
// after the query may have been read.
func TestAnsweredIsAccepted(t *testing.T) {
	c, far := overSocket(t)
	if !c.notAccepted() {
		t.Error("nothing has come, and it is taken for accepted")
	}
	sendAnswer(t, far)
	for range 2 {
		if c.notAccepted() {
			t.Error("an answer has come, and it is not taken for accepted")
		}
		if !c.usable() { // takes the answer
			t.Error("it is not usable")
		}
	}
}
