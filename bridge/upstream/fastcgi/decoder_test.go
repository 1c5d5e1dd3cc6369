package fastcgi_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// A record as an application sends it.
func record(typ fcgi.Type, id uint16, content string, padding int) string {
	h := fcgi.Header{Type: typ, RequestID: id, ContentLength: uint16(len(content)), PaddingLength: uint8(padding)}
	return string(fcgi.AppendHeader(nil, h)) + content + strings.Repeat("p", padding)
}

func end(id uint16, status fcgi.ProtocolStatus) string {
	return string(fcgi.AppendEndRequest(nil, id, fcgi.EndRequest{ProtocolStatus: status}))
}

// decode returns the events of what comes in pieces of a size, as text; those of output and
// log that follow each other are joined.
func decode(id uint16, in string, size int) (events []string, clean bool, err error) {
	d := codec.NewDecoder()
	if id != 0 {
		d.Begin(id, nil)
	}
	var left []byte
	joins := false
	for piece := range slices.Chunk([]byte(in), size) {
		left = append(left, piece...)
		for {
			ev, rest, err := d.Next(left)
			if left = rest; err != nil {
				return events, false, err
			}
			if ev.Kind == 0 {
				break
			}
			text := fmt.Sprintf("%v %d %s", ev.Kind, ev.ID, ev.Data)
			if ev.Err != nil {
				text += ev.Err.Error()
			}
			if last := len(events) - 1; joins && len(ev.Data) > 0 && strings.HasPrefix(events[last], text[:len(text)-len(ev.Data)]) {
				events[last] += string(ev.Data)
			} else {
				events = append(events, text)
			}
			joins = (ev.Kind == upstream.Output || ev.Kind == upstream.Log) && len(ev.Data) > 0
		}
		if len(left) >= 64 {
			return events, false, fmt.Errorf("%d bytes are left", len(left))
		}
	}
	return events, len(left) == 0 && d.Clean(), nil
}

// What comes makes the same events whatever pieces it comes in.
func TestEvents(t *testing.T) {
	large := strings.Repeat("0123456789", 700)
	out, log := fcgi.TypeStdout, fcgi.TypeStderr
	for name, c := range map[string]struct {
		id     uint16
		in     string
		want   []string
		unfair bool // something is left over
	}{
		"an answer":        {1, record(out, 1, "a", 0) + record(out, 1, "", 0) + end(1, 0), []string{"output 1 a", "output 1 ", "end 1 "}, false},
		"padding":          {1, record(out, 1, "a", 7) + record(out, 1, "", 255) + end(1, 0), []string{"output 1 a", "output 1 ", "end 1 "}, false},
		"padded end":       {1, record(fcgi.TypeEndRequest, 1, strings.Repeat("\x00", 8), 8), []string{"end 1 "}, false},
		"log":              {1, record(log, 1, "l", 1) + record(log, 1, "", 0) + record(out, 1, "a", 0) + record(log, 1, "m", 0), []string{"log 1 l", "output 1 a", "log 1 m"}, false},
		"large":            {1, record(out, 1, large, 0) + record(out, 1, large, 3) + end(1, 0), []string{"output 1 " + large + large, "end 1 "}, false},
		"any id":           {0, record(out, 1, "a", 0) + record(out, 9, "b", 0) + end(1, 0) + end(9, 0), []string{"output 1 a", "output 9 b", "end 1 ", "end 9 "}, false},
		"overloaded":       {1, end(1, 2), []string{"end 1 the application is overloaded (FCGI_OVERLOADED)"}, false},
		"cannot multiplex": {1, end(1, 1), []string{"end 1 the application refuses a second request on the connection (FCGI_CANT_MPX_CONN)"}, false},
		"unknown role":     {1, end(1, 3), []string{"end 1 the application does not serve the role that it was asked in (FCGI_UNKNOWN_ROLE)"}, false},
		"unknown status":   {1, end(1, 4), []string{"end 1 fcgi: bad END_REQUEST: protocol status 4"}, false},
		"replies": {
			1, record(fcgi.TypeGetValuesResult, 0, "abc", 5) + record(out, 1, "a", 0) + record(fcgi.TypeGetValuesResult, 0, "", 0) + record(fcgi.TypeUnknown, 0, "\x09\x00\x00\x00\x00\x00\x00\x00", 0),
			[]string{"reply 0 abc", "output 1 a", "reply 0 ", "reply 0 "},
			false,
		},
		"half a header":  {1, end(1, 0) + "\x01\x06\x00", []string{"end 1 "}, true},
		"half a record":  {1, record(out, 1, "abc", 0)[:10], []string{"output 1 ab"}, true},
		"half an end":    {1, end(1, 0)[:12], nil, true},
		"half a padding": {1, record(out, 1, "abc", 4)[:13], []string{"output 1 abc"}, true},
		"half a reply":   {1, record(fcgi.TypeGetValuesResult, 0, "abc", 5)[:14], nil, true},
	} {
		for _, size := range []int{1, 2, 3, 7, 8, 9, 100, 8191, len(c.in)} {
			got, clean, err := decode(c.id, c.in, size)
			if !slices.Equal(got, c.want) || err != nil || clean == c.unfair {
				t.Errorf("%s, in pieces of %d: %.200q, clean %v, %v", name, size, got, clean, err)
			}
		}
	}
}

// What is not allowed ends the connection, in whatever pieces it comes. What came before
// counts.
func TestWrongRecords(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"another's":          {record(fcgi.TypeStdout, 2, "b", 0), "bad STDOUT: request id is 2, want 1"},
		"another's end":      {end(7, 0), "bad END_REQUEST: request id is 7, want 1"},
		"nobody's":           {record(fcgi.TypeStderr, 0, "b", 0), "bad STDERR: request id is 0, want 1"},
		"a short end":        {record(fcgi.TypeEndRequest, 1, "1234567", 0), "bad END_REQUEST: content is 7 bytes, want 8"},
		"a long end":         {record(fcgi.TypeEndRequest, 1, "123456789", 0), "bad END_REQUEST: content is 9 bytes, want 8"},
		"a request":          {record(fcgi.TypeBeginRequest, 1, "12345678", 0), "bad record: unexpected BEGIN_REQUEST from an application"},
		"no known type":      {record(99, 1, "", 0), "bad record: unexpected type 99 from an application"},
		"a reply with an id": {record(fcgi.TypeGetValuesResult, 1, "", 0), "bad record: unexpected GET_VALUES_RESULT from an application"},
		"no FastCGI":         {"HTTP/1.1 400 Bad Request\r\n", "bad record header: version is 72"},
	} {
		for _, size := range []int{1, 5, 8, 1000} {
			got, _, err := decode(1, record(fcgi.TypeStdout, 1, "a", 0)+c.in, size)
			if _, ok := errors.AsType[*upstream.FormatError](err); !ok || !strings.Contains(err.Error(), c.want) || !slices.Equal(got, []string{"output 1 a"}) {
				t.Errorf("%s, in pieces of %d: %q, %v, want %s", name, size, got, err, c.want)
			}
		}
	}
}

// The end of a connection never ends an answer.
func TestEOF(t *testing.T) {
	d := codec.NewDecoder()
	for _, in := range []string{"", record(fcgi.TypeStdout, 1, "a", 0), record(fcgi.TypeStdout, 1, "", 0), end(1, 0)[:8]} {
		if _, _, err := d.Next([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if ev := d.EOF(); ev.Kind != 0 {
			t.Errorf("after %q: %v", in, ev.Kind)
		}
	}
}

// Whatever comes, the events are the same in pieces of one byte as at once, and the
// decoder takes all but a little of what makes no event yet.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		record(fcgi.TypeStdout, 1, "a", 3) + record(fcgi.TypeStderr, 1, "b", 0) + end(1, 0),
		record(fcgi.TypeGetValuesResult, 0, "abc", 5) + end(1, 2), record(fcgi.TypeStdout, 2, "b", 0), "HTTP/1.1",
	} {
		f.Add(uint16(1), []byte(seed))
		f.Add(uint16(0), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, id uint16, in []byte) {
		whole, clean, err := decode(id, string(in), max(1, len(in)))
		for _, size := range []int{1, 3} {
			pieces, piecesClean, piecesErr := decode(id, string(in), size)
			if !slices.Equal(whole, pieces) || clean != piecesClean || fmt.Sprint(err) != fmt.Sprint(piecesErr) {
				t.Fatalf("at once %q, %v, %v; in pieces of %d %q, %v, %v", whole, clean, err, size, pieces, piecesClean, piecesErr)
			}
		}
	})
}

// What is expected ends with the header of the next record.
func TestExpects(t *testing.T) {
	d := codec.NewDecoder()
	expects := d.(upstream.Expecter).Expects
	if n := expects(); n != 0 {
		t.Errorf("%d bytes are expected before the first record", n)
	}
	in := record(fcgi.TypeStdout, 1, strings.Repeat("x", 1000), 24)
	if _, _, err := d.Next([]byte(in[:fcgi.HeaderLen+300])); err != nil {
		t.Fatal(err)
	}
	if n := expects(); n != 700+24+fcgi.HeaderLen {
		t.Errorf("%d bytes are expected in the middle of a record, want %d", n, 700+24+fcgi.HeaderLen)
	}
}
