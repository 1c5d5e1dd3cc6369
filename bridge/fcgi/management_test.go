package fcgi_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

func TestGetValues(t *testing.T) {
	// The three variables of section 4.1.
	content := "\x0e\x00FCGI_MAX_CONNS" + "\x0d\x00FCGI_MAX_REQS" + "\x0f\x00FCGI_MPXS_CONNS"
	want := "\x01\x09\x00\x00\x00\x30\x08\x00" + content + "\x00\x00\x00\x00\x00\x00\x00\x00"
	if got := fcgi.AppendGetValues(nil, fcgi.MaxConns, fcgi.MaxReqs, fcgi.MpxsConns); string(got) != want {
		t.Errorf("encoded %q, want %q", got, want)
	}
	got, err := fcgi.DecodeGetValues([]byte(content))
	if err != nil || !slices.Equal(got, []string{"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"}) {
		t.Errorf("decoded %q, %v", got, err)
	}
	if got, err := fcgi.DecodeGetValues(nil); err != nil || len(got) > 0 {
		t.Errorf("nothing asked: %q, %v", got, err)
	}
}

func TestGetValuesWithValue(t *testing.T) {
	_, err := fcgi.DecodeGetValues([]byte("\x0e\x00FCGI_MAX_CONNS" + "\x0d\x01FCGI_MAX_REQS1"))
	if bad, ok := errors.AsType[*fcgi.FormatError](err); !ok || bad.What != "GET_VALUES" || !strings.Contains(bad.Why, "FCGI_MAX_REQS") {
		t.Errorf("a value in a question: %v", err)
	}
}

func TestGetValuesResult(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content string
		want    []fcgi.Value
	}{
		{"php-cgi", "\x0e\x01FCGI_MAX_CONNS2" + "\x0d\x01FCGI_MAX_REQS2" + "\x0f\x01FCGI_MPXS_CONNS0", []fcgi.Value{
			{Name: "FCGI_MAX_CONNS", Value: "2"}, {Name: "FCGI_MAX_REQS", Value: "2"}, {Name: "FCGI_MPXS_CONNS", Value: "0"},
		}},
		{"nothing known", "", nil},
		{"no value", "\x0e\x00FCGI_MAX_CONNS", []fcgi.Value{{Name: "FCGI_MAX_CONNS"}}},
	} {
		got, err := fcgi.DecodeGetValuesResult([]byte(tt.content))
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		want := "\x01\x0a\x00\x00\x00" + string([]byte{byte(len(tt.content))}) + "\x00\x00" + tt.content
		if got := fcgi.AppendGetValuesResult(nil, tt.want...); string(got) != want {
			t.Errorf("%s: encoded %q, want %q", tt.name, got, want)
		}
	}
}

// Cut anywhere but between two pairs, both are short, and say what they were.
func TestTruncatedValues(t *testing.T) {
	for name, tt := range map[string]struct {
		content  string
		boundary int
		decode   func([]byte) error
	}{
		"GET_VALUES": {
			"\x0e\x00FCGI_MAX_CONNS" + "\x0d\x00FCGI_MAX_REQS", 16,
			func(b []byte) error { _, err := fcgi.DecodeGetValues(b); return err },
		},
		"GET_VALUES_RESULT": {
			"\x0e\x01FCGI_MAX_CONNS2" + "\x0d\x01FCGI_MAX_REQS2", 17,
			func(b []byte) error { _, err := fcgi.DecodeGetValuesResult(b); return err },
		},
	} {
		for n := range len(tt.content) {
			err := tt.decode([]byte(tt.content[:n]))
			if n == 0 || n == tt.boundary {
				if err != nil {
					t.Errorf("%s of %d bytes: %v", name, n, err)
				}
				continue
			}
			if !errors.Is(err, fcgi.ErrShort) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	long := strings.Repeat("x", 65535)
	wantPanic(t, "in one GET_VALUES record", func() { fcgi.AppendGetValues(nil, long) })
	wantPanic(t, "in one GET_VALUES_RESULT record", func() { fcgi.AppendGetValuesResult(nil, fcgi.Value{Name: "N", Value: long}) })
}

func TestUnknownType(t *testing.T) {
	for content, want := range map[string]fcgi.Type{
		"\x0c\x00\x00\x00\x00\x00\x00\x00": 12,
		"\x00\x00\x00\x00\x00\x00\x00\x00": 0,
		"\xff\xff\xff\xff\xff\xff\xff\xff": 255, // reserved bytes are the sender's business
	} {
		if got, err := fcgi.DecodeUnknownType([]byte(content)); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", content, got, err, want)
		}
	}
}
