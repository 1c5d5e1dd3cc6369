package scgi_test

import (
	"errors"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/scgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	codec "github.com/sluice-proxy/sluice/bridge/upstream/scgi"
)

func vars(pairs ...string) *upstream.Request {
	r := new(upstream.Request)
	for i := 0; i < len(pairs); i += 2 {
		r.Vars = append(r.Vars, cgi.Var{Name: pairs[i], Value: pairs[i+1]})
	}
	return r
}

// A request with a body, byte for byte, and what of it a server must have to run it.
func TestRequest(t *testing.T) {
	const want = "28:CONTENT_LENGTH\x002\x00SCGI\x001\x00A\x00b" + "\x00,"
	r := vars("CONTENT_LENGTH", "2", "A", "b")
	got, unrunBelow, err := codec.Codec{}.AppendHead([]byte("before"), 258, true, r)
	if err != nil || string(got) != "before"+want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	unread := string(got[len("before")+unrunBelow:])
	if unread != "\x00," {
		t.Errorf("a server that has not read %q has not run the request, want %q", unread, "\x00,")
	}
	got = codec.Codec{}.AppendBody(codec.Codec{}.AppendBody(got, 258, []byte("h"), false), 258, []byte("i"), true)
	if string(got) != "before"+want+"hi" {
		t.Errorf("with its body: %q", got)
	}
	if n, err := (codec.Codec{}).Size(r); err != nil || n != 28 {
		t.Errorf("size %d, %v, want 28", n, err)
	}
}

func TestRefused(t *testing.T) {
	bad := vars("A", "\x00")
	_, err := codec.Codec{}.Size(bad)
	head, _, headErr := codec.Codec{}.AppendHead([]byte("before"), 1, false, bad)
	for _, err := range []error{err, headErr} {
		_, isRequest := errors.AsType[*upstream.RequestError](err)
		if _, isVariable := errors.AsType[*scgi.VariableError](err); !isRequest || !isVariable {
			t.Errorf("error %v", err)
		}
	}
	if string(head) != "before" {
		t.Errorf("%q", head)
	}
}

// A part of the body stays where it is, and a connection carries one request.
func TestBody(t *testing.T) {
	before, after := codec.Codec{}.BodyOverhead()
	part := []byte("part")
	if got := (codec.Codec{}).AppendBody(part[:0], 1, part, true); &got[0] != &part[0] || string(got) != "part" || before != 0 || after != 0 {
		t.Errorf("%q, overhead %d and %d", got, before, after)
	}
	if n := (codec.Codec{}).Preamble(); n != 1 {
		t.Errorf("the preamble is %d bytes, and ends in or behind the size", n)
	}
	if (codec.Codec{}).KeepAlive() {
		t.Error("connections are kept")
	}
}
