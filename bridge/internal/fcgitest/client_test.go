package fcgitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// getValues asks for FCGI_MPXS_CONNS, padded; the bytes are the specification's.
var getValues = []byte("\x01\x09\x00\x00\x00\x11\x07\x00" + "\x0f\x00FCGI_MPXS_CONNS" + "\x00\x00\x00\x00\x00\x00\x00")

// client is the other side of a peer.
type client struct {
	net.Conn
	t *testing.T
}

func connect(t *testing.T, dial func(context.Context) (net.Conn, error)) *client {
	t.Helper()
	c, err := dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{c, t}
}

// begin returns the records of a request up to the end of its PARAMS.
func begin(id uint16, uri string) []byte {
	return slices.Concat(
		Record(BeginRequest, id, []byte{0, 1, KeepConn, 0, 0, 0, 0, 0}),
		Record(Params, id, Pairs(Param{"REQUEST_URI", uri})),
		Record(Params, id, nil),
	)
}

func whole(id uint16, uri string) []byte { return append(begin(id, uri), Record(Stdin, id, nil)...) }

func (c *client) send(records ...[]byte) {
	c.t.Helper()
	if _, err := c.Write(slices.Concat(records...)); err != nil {
		c.t.Fatal(err)
	}
}

// next describes the next record: "out 7 text", "end 7 0".
func (c *client) next() (string, error) {
	rec, err := readRecord(c)
	switch {
	case err != nil:
		return "", err
	case rec.typ == Stdout:
		_, body, _ := strings.Cut(string(rec.content), "\n\n")
		if body == "" {
			body = string(rec.content)
		}
		return fmt.Sprintf("out %d %s", rec.id, body), nil
	case rec.typ == EndRequest:
		return fmt.Sprintf("end %d %d", rec.id, rec.content[4]), nil
	}
	return fmt.Sprintf("type %d %d %s", rec.typ, rec.id, rec.content), nil
}

// want reads as many records as are wanted.
func (c *client) want(records ...string) {
	c.t.Helper()
	for _, want := range records {
		if got, err := c.next(); got != want || err != nil {
			c.t.Fatalf("record %q, %v, want %q", got, err, want)
		}
	}
}

// wantError reads what must fail.
func (c *client) wantError(want error) {
	c.t.Helper()
	if got, err := c.next(); !errors.Is(err, want) {
		c.t.Errorf("record %q, %v, want %v", got, err, want)
	}
}

// wantNothing lets d pass, in which nothing may come.
func (c *client) wantNothing(d time.Duration) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	c.wantError(os.ErrDeadlineExceeded)
	_ = c.SetReadDeadline(time.Time{})
}

// wantServed has a request answered with Page.
func (c *client) wantServed(id uint16) {
	c.t.Helper()
	c.send(whole(id, "/"))
	c.want(page(id)...)
}

// page is how next describes Page.
func page(id uint16) []string {
	return []string{fmt.Sprintf("out %d %s", id, Page), fmt.Sprintf("end %d 0", id)}
}

func wantSince(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Errorf("after %v, want %v", got, want)
	}
}

// failures is a test that a peer may fail.
type failures struct {
	*testing.T
	mu    sync.Mutex
	texts []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func (f *failures) want(text string) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.texts) != 1 || !strings.Contains(f.texts[0], text) {
		f.T.Errorf("failures %q, want one that says %q", f.texts, text)
	}
}
