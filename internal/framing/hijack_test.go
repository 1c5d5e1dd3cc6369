package framing

import (
	"io"
	"net"
	"testing"
)

// A connection that was taken over carries anything, in both directions.
func TestHijack(t *testing.T) {
	const other = "\x81\x05\r\n\r\n\x00anything"
	w := newWire([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), []byte(other))
	c := net.Conn(&conn{Conn: w, listener: new(Listener), scanner: scanner{maxHeader: 100}})
	buf := make([]byte, 100)
	if n, err := c.Read(buf); string(buf[:n]) != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" || err != nil {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if IsHijacked(c) || !Hijack(c) || !IsHijacked(c) {
		t.Error("the connection is not known to be hijacked")
	}
	got, err := io.ReadAll(c)
	if _, writeErr := c.Write([]byte("\x88")); string(got) != other || err != nil || writeErr != nil || w.out.String() != "\x88" {
		t.Errorf("read %q, %v; written %q, %v", got, err, w.out.String(), writeErr)
	}
	if Hijack(w) || IsHijacked(w) {
		t.Error("a connection of another listener is hijacked")
	}
}
