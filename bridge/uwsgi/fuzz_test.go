package uwsgi_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/uwsgi"
)

// decode reads a header as the specification describes it.
func decode(t *testing.T, b []byte) (vars []string) {
	t.Helper()
	if len(b) < 4 || b[0] != 0 || b[3] != 0 || int(binary.LittleEndian.Uint16(b[1:])) != len(b)-4 {
		t.Fatalf("%.100q is not a packet", b)
	}
	for b = b[4:]; len(b) > 0; {
		if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
			t.Fatalf("a string ends early: %.100q", b)
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		vars, b = append(vars, string(b[2:n])), b[n:]
	}
	return vars
}

// What is encoded decodes to the same variables, whatever they are, or is too large.
func FuzzAppendHeader(f *testing.F) {
	f.Add("REQUEST_METHOD", "GET", "QUERY_STRING", "", uint16(0))
	f.Add("A", "\x00\xff", "", "b", uint16(1))
	f.Add("A", "1", "B", "2", uint16(65520))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, repeat uint16) {
		value2 += strings.Repeat("x", int(repeat))
		given := list{name1, value1, name2, value2}
		size := 8
		for _, s := range given {
			size += len(s)
		}
		got, err := given.append([]byte{})
		switch _, large := errors.AsType[*uwsgi.TooLargeError](err); {
		case name1 == "" || name2 == "" || size > math.MaxUint16:
			if len(got) > 0 || !large && !errors.Is(err, uwsgi.ErrNoName) {
				t.Fatalf("%d bytes: %.100q, %v", size, got, err)
			}
		case err != nil:
			t.Fatalf("%d bytes: %v", size, err)
		case !slices.Equal(decode(t, got), given):
			t.Fatalf("%.100q encodes to %.100q", given, got)
		}
	})
}
