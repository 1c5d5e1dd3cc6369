package fcgi_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// The message flows of the specification's Appendix B, in bytes. A " ... " there
// means that the text goes on; here it ends.
const (
	begin1     = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	begin1Keep = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	begin2Keep = "\x01\x01\x00\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	params1    = "\x01\x04\x00\x01\x00\x2a\x00\x00" + "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"
	params2    = "\x01\x04\x00\x02\x00\x2a\x00\x00" + "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"
	paramsEnd1 = "\x01\x04\x00\x01\x00\x00\x00\x00"
	paramsEnd2 = "\x01\x04\x00\x02\x00\x00\x00\x00"
	stdinEnd1  = "\x01\x05\x00\x01\x00\x00\x00\x00"
	stdinEnd2  = "\x01\x05\x00\x02\x00\x00\x00\x00"
	stdoutEnd1 = "\x01\x06\x00\x01\x00\x00\x00\x00"
	stdoutEnd2 = "\x01\x06\x00\x02\x00\x00\x00\x00"
	complete1  = "\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"
	complete2  = "\x01\x03\x00\x02\x00\x08\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"

	page = "Content-type: text/html\r\n\r\n<html>\n<head>"
)

// said is a record as Appendix B writes it down.
type said struct {
	typ     fcgi.Type
	id      uint16
	content string
}

var flows = []struct {
	name string
	wire string
	want []said
}{
	{
		"1: a simple request and its answer",
		begin1 + params1 + paramsEnd1 + stdinEnd1 +
			"\x01\x06\x00\x01\x00\x28\x00\x00" + page + stdoutEnd1 + complete1,
		[]said{
			{fcgi.TypeBeginRequest, 1, "\x00\x01\x00\x00\x00\x00\x00\x00"},
			{fcgi.TypeParams, 1, "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"},
			{fcgi.TypeParams, 1, ""},
			{fcgi.TypeStdin, 1, ""},
			{fcgi.TypeStdout, 1, page},
			{fcgi.TypeStdout, 1, ""},
			{fcgi.TypeEndRequest, 1, "\x00\x00\x00\x00\x00\x00\x00\x00"},
		},
	},
	{
		"2: a pair across two records, and data on stdin",
		begin1 + "\x01\x04\x00\x01\x00\x14\x00\x00" + "\013\002SERVER_PORT80\013\016SER" +
			"\x01\x04\x00\x01\x00\x16\x00\x00" + "VER_ADDR199.170.183.42" + paramsEnd1 +
			"\x01\x05\x00\x01\x00\x19\x00\x00" + "quantity=100&item=3047936" + stdinEnd1 +
			"\x01\x06\x00\x01\x00\x28\x00\x00" + page + stdoutEnd1 + complete1,
		[]said{
			{fcgi.TypeBeginRequest, 1, "\x00\x01\x00\x00\x00\x00\x00\x00"},
			{fcgi.TypeParams, 1, "\013\002SERVER_PORT80\013\016SER"},
			{fcgi.TypeParams, 1, "VER_ADDR199.170.183.42"},
			{fcgi.TypeParams, 1, ""},
			{fcgi.TypeStdin, 1, "quantity=100&item=3047936"},
			{fcgi.TypeStdin, 1, ""},
			{fcgi.TypeStdout, 1, page},
			{fcgi.TypeStdout, 1, ""},
			{fcgi.TypeEndRequest, 1, "\x00\x00\x00\x00\x00\x00\x00\x00"},
		},
	},
	{
		"3: an error on stderr and in the exit status",
		begin1 + params1 + paramsEnd1 + stdinEnd1 +
			"\x01\x06\x00\x01\x00\x1e\x00\x00" + "Content-type: text/html\r\n\r\n<ht" +
			"\x01\x07\x00\x01\x00\x1d\x00\x00" + "config error: missing SI_UID\n" +
			"\x01\x06\x00\x01\x00\x0a\x00\x00" + "ml>\n<head>" + stdoutEnd1 +
			"\x01\x07\x00\x01\x00\x00\x00\x00" +
			"\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x03\xaa\x00\x00\x00\x00",
		[]said{
			{fcgi.TypeBeginRequest, 1, "\x00\x01\x00\x00\x00\x00\x00\x00"},
			{fcgi.TypeParams, 1, "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"},
			{fcgi.TypeParams, 1, ""},
			{fcgi.TypeStdin, 1, ""},
			{fcgi.TypeStdout, 1, "Content-type: text/html\r\n\r\n<ht"},
			{fcgi.TypeStderr, 1, "config error: missing SI_UID\n"},
			{fcgi.TypeStdout, 1, "ml>\n<head>"},
			{fcgi.TypeStdout, 1, ""},
			{fcgi.TypeStderr, 1, ""},
			{fcgi.TypeEndRequest, 1, "\x00\x00\x03\xaa\x00\x00\x00\x00"},
		},
	},
	{
		"4: two requests on one connection",
		begin1Keep + params1 + paramsEnd1 + begin2Keep + params2 + stdinEnd1 +
			"\x01\x06\x00\x01\x00\x1b\x00\x00" + "Content-type: text/html\r\n\r\n" +
			paramsEnd2 + stdinEnd2 +
			"\x01\x06\x00\x02\x00\x28\x00\x00" + page +
			"\x01\x06\x00\x01\x00\x0d\x00\x00" + "<html>\n<head>" +
			stdoutEnd2 + complete2 + stdoutEnd1 + complete1,
		[]said{
			{fcgi.TypeBeginRequest, 1, "\x00\x01\x01\x00\x00\x00\x00\x00"},
			{fcgi.TypeParams, 1, "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"},
			{fcgi.TypeParams, 1, ""},
			{fcgi.TypeBeginRequest, 2, "\x00\x01\x01\x00\x00\x00\x00\x00"},
			{fcgi.TypeParams, 2, "\013\002SERVER_PORT80\013\016SERVER_ADDR199.170.183.42"},
			{fcgi.TypeStdin, 1, ""},
			{fcgi.TypeStdout, 1, "Content-type: text/html\r\n\r\n"},
			{fcgi.TypeParams, 2, ""},
			{fcgi.TypeStdin, 2, ""},
			{fcgi.TypeStdout, 2, page},
			{fcgi.TypeStdout, 1, "<html>\n<head>"},
			{fcgi.TypeStdout, 2, ""},
			{fcgi.TypeEndRequest, 2, "\x00\x00\x00\x00\x00\x00\x00\x00"},
			{fcgi.TypeStdout, 1, ""},
			{fcgi.TypeEndRequest, 1, "\x00\x00\x00\x00\x00\x00\x00\x00"},
		},
	},
}

func TestAppendixB(t *testing.T) {
	for _, tt := range flows {
		t.Run(tt.name, func(t *testing.T) {
			rest := []byte(tt.wire)
			for i, want := range tt.want {
				rec, r, err := fcgi.DecodeRecord(rest)
				if err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
				if got := (said{rec.Type, rec.RequestID, string(rec.Content)}); got != want {
					t.Errorf("record %d: %+v, want %+v", i, got, want)
				}
				rest = r
			}
			if len(rest) > 0 {
				t.Errorf("%d bytes left", len(rest))
			}
			if got := encode(tt.want); string(got) != tt.wire {
				t.Errorf("encoded\n%q, want\n%q", got, tt.wire)
			}
		})
	}
}

func encode(records []said) (b []byte) {
	for _, r := range records {
		switch {
		case r.typ == fcgi.TypeBeginRequest:
			b = fcgi.AppendBeginRequest(b, r.id, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: r.content[2]})
		case r.typ == fcgi.TypeEndRequest:
			b = fcgi.AppendEndRequest(b, r.id, fcgi.EndRequest{AppStatus: uint32(r.content[2])<<8 | uint32(r.content[3])})
		case r.content == "":
			b = fcgi.AppendStreamEnd(b, r.typ, r.id)
		default:
			b = fcgi.AppendStream(b, r.typ, r.id, []byte(r.content))
		}
	}
	return b
}

// The web server's half of flow 1, as a program sends it.
func TestAppendixBRequest(t *testing.T) {
	b := fcgi.AppendBeginRequest(nil, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder})
	w := fcgi.NewParamsWriter(b, 1)
	for _, v := range [][2]string{{"SERVER_PORT", "80"}, {"SERVER_ADDR", "199.170.183.42"}} {
		if err := w.Add(v[0], v[1]); err != nil {
			t.Fatal(err)
		}
	}
	b = fcgi.AppendStreamEnd(w.End(), fcgi.TypeStdin, 1)
	if want := begin1 + params1 + paramsEnd1 + stdinEnd1; string(b) != want {
		t.Errorf("encoded\n%q, want\n%q", b, want)
	}
}
