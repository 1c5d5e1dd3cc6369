package fastcgi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

var codec fastcgi.Codec

func vars(pairs ...string) *upstream.Request {
	r := new(upstream.Request)
	for i := 0; i < len(pairs); i += 2 {
		r.Vars = append(r.Vars, cgi.Var{Name: pairs[i], Value: pairs[i+1]})
	}
	return r
}

// A request with id 258, byte for byte.
func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		keep bool
		body []string // parts
		want string
	}{
		"no body":   {true, []string{""}, "\x01\x01\x01\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"},
		"not kept":  {false, []string{""}, "\x01\x01\x01\x02\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"},
		"body":      {true, []string{"hi"}, "\x01\x01\x01\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"},
		"two parts": {true, []string{"hi", "there"}, "\x01\x01\x01\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"},
	} {
		c.want += "\x01\x04\x01\x02\x00\x04\x00\x00" + "\x01\x01Ab" + "\x01\x04\x01\x02\x00\x00\x00\x00"
		got, unrunBelow, err := codec.AppendHead([]byte("before"), 258, c.keep, vars("A", "b"))
		if err != nil || unrunBelow != 16 || codec.Preamble() != 16 {
			t.Errorf("%s: unrunBelow is %d, %v", name, unrunBelow, err)
		}
		for i, part := range c.body {
			if part != "" {
				c.want += "\x01\x05\x01\x02\x00" + string(rune(len(part))) + "\x00\x00" + part
			}
			got = codec.AppendBody(got, 258, []byte(part), i == len(c.body)-1)
		}
		if c.want = "before" + c.want + "\x01\x05\x01\x02\x00\x00\x00\x00"; string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A part of the body that lies where it is to be is not moved, and needs no memory.
func TestBodyInPlace(t *testing.T) {
	before, after := codec.BodyOverhead()
	for _, n := range []int{1, 32 << 10, 64_000} {
		buf := make([]byte, before+n, before+n+after)
		copy(buf[before:], strings.Repeat("0123456789", n/10+1))
		want := codec.AppendBody(nil, 7, []byte(string(buf[before:])), true)
		got := codec.AppendBody(buf[:0], 7, buf[before:], true)
		if string(got) != string(want) || &got[0] != &buf[0] {
			t.Errorf("%d bytes: %d bytes of records, want %d in the same memory", n, len(got), len(want))
		}
	}
}

func TestSize(t *testing.T) {
	if n, err := codec.Size(vars("A", "b", "LONG", strings.Repeat("x", 200))); n != 4+1+4+4+200 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	large := vars("A", "b", "LARGE", strings.Repeat("x", fcgi.MaxPair))
	_, err := codec.Size(large)
	_, _, headErr := codec.AppendHead(nil, 1, true, large)
	for _, err := range []error{err, headErr} {
		request, isRequest := errors.AsType[*upstream.RequestError](err)
		pair, isPair := errors.AsType[*fcgi.PairTooLargeError](err)
		if !isRequest || !isPair || pair.Name != "LARGE" || request.Error() != pair.Error() {
			t.Errorf("error %v", err)
		}
	}
}

func TestQuestions(t *testing.T) {
	names := []string{fcgi.MpxsConns, fcgi.MaxConns, fcgi.MaxReqs}
	if codec.Queries() != len(names) {
		t.Fatalf("%d questions", codec.Queries())
	}
	values := func(pairs ...string) (b []byte) {
		for i := 0; i < len(pairs); i += 2 {
			b = fcgi.AppendPair(b, pairs[i], pairs[i+1])
		}
		return b
	}
	for n, name := range names {
		if got, want := codec.AppendQuery(nil, n), fcgi.AppendGetValues(nil, name); string(got) != string(want) {
			t.Errorf("question %d: %q, want %q", n, got, want)
		}
	}
	for _, c := range []struct {
		n     int
		reply []byte
		want  upstream.QueryResult
	}{
		{0, nil, upstream.OtherResult},
		{0, values(fcgi.MpxsConns, "1"), upstream.Multiplexing},
		{0, values(fcgi.MpxsConns, "0"), upstream.LibraryDefaults},
		{0, values(fcgi.MpxsConns, ""), upstream.OtherResult},
		{0, values(fcgi.MaxConns, "1"), upstream.OtherResult},
		{1, values(fcgi.MaxConns, "1"), upstream.LibraryDefaults},
		{1, values(fcgi.MaxConns, "8"), upstream.OtherResult},
		{1, values(fcgi.MaxConns, "1", fcgi.MpxsConns, "1"), upstream.Multiplexing},
		{2, values(fcgi.MaxReqs, "1"), upstream.LibraryDefaults},
		{0, []byte("\x0f\x01FCGI"), upstream.OtherResult}, // it ends early
	} {
		if got := codec.ParseReply(c.n, c.reply); got != c.want {
			t.Errorf("%q to question %d: %v, want %v", c.reply, c.n, got, c.want)
		}
	}
}

// A part of an upload, which is encoded in place.
func BenchmarkAppendBody(b *testing.B) {
	before, after := codec.BodyOverhead()
	buf := make([]byte, before+32<<10, before+32<<10+after)
	b.ReportAllocs()
	for b.Loop() {
		codec.AppendBody(buf[:0], 7, buf[before:], false)
	}
}

// An authorizer is asked in its role, with the same records.
func TestAuthorizer(t *testing.T) {
	got, _, err := fastcgi.Codec{}.AppendHead(nil, 1, true, &upstream.Request{Authorizer: true, Vars: []cgi.Var{{Name: "A", Value: "b"}}})
	want := "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x02\x01\x00\x00\x00\x00\x00" + "\x01\x04\x00\x01\x00\x04\x00\x00\x01\x01Ab" + "\x01\x04\x00\x01\x00\x00\x00\x00"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
