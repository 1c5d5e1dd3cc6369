package fcgi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

func TestBeginRequest(t *testing.T) {
	for _, tt := range []struct {
		content string
		want    fcgi.BeginRequest
	}{
		{"\x00\x01\x00\x00\x00\x00\x00\x00", fcgi.BeginRequest{Role: fcgi.RoleResponder}},
		{"\x00\x01\x01\x00\x00\x00\x00\x00", fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn}},
		{"\x00\x02\x00\x00\x00\x00\x00\x00", fcgi.BeginRequest{Role: fcgi.RoleAuthorizer}},
		{"\x00\x03\x01\x00\x00\x00\x00\x00", fcgi.BeginRequest{Role: fcgi.RoleFilter, Flags: fcgi.FlagKeepConn}},
		{"\x12\x34\xfe\x00\x00\x00\x00\x00", fcgi.BeginRequest{Role: 0x1234, Flags: 0xfe}},
	} {
		if got, err := fcgi.DecodeBeginRequest([]byte(tt.content)); err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.content, got, err, tt.want)
		}
		want := "\x01\x01\x00\x05\x00\x08\x00\x00" + tt.content
		if got := fcgi.AppendBeginRequest(nil, 5, tt.want); string(got) != want {
			t.Errorf("%+v: encoded %q, want %q", tt.want, got, want)
		}
	}
	// Reserved bytes are the sender's business.
	if got, err := fcgi.DecodeBeginRequest([]byte("\x00\x01\x00\xff\xff\xff\xff\xff")); err != nil || got.Role != fcgi.RoleResponder {
		t.Errorf("reserved bytes not zero: %+v, %v", got, err)
	}
}

func TestEndRequest(t *testing.T) {
	for _, tt := range []struct {
		content string
		want    fcgi.EndRequest
		status  string
	}{
		{"\x00\x00\x00\x00\x00\x00\x00\x00", fcgi.EndRequest{}, "REQUEST_COMPLETE"},
		{"\x00\x00\x03\xaa\x00\x00\x00\x00", fcgi.EndRequest{AppStatus: 938}, "REQUEST_COMPLETE"},
		{"\x00\x00\x00\x00\x01\x00\x00\x00", fcgi.EndRequest{ProtocolStatus: fcgi.StatusCantMpxConn}, "CANT_MPX_CONN"},
		{"\x00\x00\x00\x00\x02\x00\x00\x00", fcgi.EndRequest{ProtocolStatus: fcgi.StatusOverloaded}, "OVERLOADED"},
		{"\x00\x00\x00\x00\x03\x00\x00\x00", fcgi.EndRequest{ProtocolStatus: fcgi.StatusUnknownRole}, "UNKNOWN_ROLE"},
		{"\xff\xff\xff\xff\xff\x00\x00\x00", fcgi.EndRequest{AppStatus: 0xffffffff, ProtocolStatus: 255}, "protocol status 255"},
		{"\x01\x02\x03\x04\x00\x00\x00\x00", fcgi.EndRequest{AppStatus: 0x01020304}, "REQUEST_COMPLETE"},
	} {
		got, err := fcgi.DecodeEndRequest([]byte(tt.content))
		if err != nil || got != tt.want || got.ProtocolStatus.String() != tt.status {
			t.Errorf("%q: %+v, %v, want %+v (%s)", tt.content, got, err, tt.want, tt.status)
		}
		want := "\x01\x03\x00\x05\x00\x08\x00\x00" + tt.content
		if got := fcgi.AppendEndRequest(nil, 5, tt.want); string(got) != want {
			t.Errorf("%+v: encoded %q, want %q", tt.want, got, want)
		}
	}
}

// The three contents of fixed size are eight bytes, no fewer and no more.
func TestFixedSizeContents(t *testing.T) {
	for name, decode := range map[string]func([]byte) error{
		"BEGIN_REQUEST": func(b []byte) error { _, err := fcgi.DecodeBeginRequest(b); return err },
		"END_REQUEST":   func(b []byte) error { _, err := fcgi.DecodeEndRequest(b); return err },
		"UNKNOWN_TYPE":  func(b []byte) error { _, err := fcgi.DecodeUnknownType(b); return err },
	} {
		for n := range 8 {
			if err := decode(make([]byte, n)); !errors.Is(err, fcgi.ErrShort) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
		if err := decode(make([]byte, 8)); err != nil {
			t.Errorf("%s of 8 bytes: %v", name, err)
		}
		for _, n := range []int{9, 16, 65535} {
			bad, ok := errors.AsType[*fcgi.FormatError](decode(make([]byte, n)))
			if !ok || bad.What != name || !strings.Contains(bad.Why, "want 8") {
				t.Errorf("%s of %d bytes: %v", name, n, bad)
			}
		}
	}
}
