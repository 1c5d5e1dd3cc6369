package uwsgi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/uwsgi"
)

// list are names and values that alternate.
type list []string

func (l list) at(i int) (name, value string) { return l[2*i], l[2*i+1] }

func (l list) append(dst []byte) ([]byte, error) { return uwsgi.AppendHeader(dst, len(l)/2, l.at) }

func (l list) size() (int, error) { return uwsgi.Size(len(l)/2, l.at) }

func TestAppendHeader(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		vars []string
		want string
	}{
		"no variables": {nil, "\x00\x00\x00\x00"},
		"two": {
			[]string{"REQUEST_METHOD", "GET", "QUERY_STRING", ""},
			"\x00\x25\x00\x00" + "\x0e\x00REQUEST_METHOD\x03\x00GET" + "\x0c\x00QUERY_STRING\x00\x00",
		},
		"their order is kept": {[]string{"B", "1", "A", "2"}, "\x00\x0c\x00\x00" + "\x01\x00B\x01\x001" + "\x01\x00A\x01\x002"},
		"256 bytes of value":  {[]string{"A", x(256)}, "\x00\x05\x01\x00" + "\x01\x00A\x00\x01" + x(256)},
		"a long name":         {[]string{x(300), "v"}, "\x00\x31\x01\x00" + "\x2c\x01" + x(300) + "\x01\x00v"},
		"as large as can be":  {[]string{"A", x(65530)}, "\x00\xff\xff\x00" + "\x01\x00A\xfa\xff" + x(65530)},
	} {
		got, err := list(c.vars).append([]byte("before"))
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s: %.200q, %v, want %.200q", name, got, err, c.want)
		}
		if size, err := list(c.vars).size(); err != nil || size != len(c.want)-4 {
			t.Errorf("%s: size %d, %v", name, size, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		vars []string
		name string
		size int
		want string
	}{
		{[]string{"A", x(65531)}, "", 65536, "uwsgi: the variables are 65536 bytes, more than the 65535 that the protocol can carry"},
		{[]string{"A", x(40_000), "B", x(40_000)}, "", 80_010, "the variables are 80010 bytes"},
		{[]string{"HTTP_COOKIE", x(65536)}, "HTTP_COOKIE", 65536, `uwsgi: variable "HTTP_COOKIE" is 65536 bytes, more than the 65535`},
		{[]string{x(70_000), "v"}, x(70_000), 70_000, "xxx\" is 70000 bytes"},
	} {
		vars := append(list{"FIRST", "1"}, c.vars...)
		if c.name == "" {
			vars = c.vars
		}
		dst, err := vars.append([]byte("before"))
		_, sizeErr := vars.size()
		for _, err := range []error{err, sizeErr} {
			large, ok := errors.AsType[*uwsgi.TooLargeError](err)
			if !ok || large.Name != c.name || large.Size != c.size || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 200 {
				t.Errorf("error %.300v, want %s", err, c.want)
			}
		}
		if string(dst) != "before" {
			t.Errorf("%.100q", dst)
		}
	}
	if dst, err := (list{"", "v"}).append(nil); !errors.Is(err, uwsgi.ErrNoName) || len(dst) > 0 {
		t.Errorf("a variable without a name: %q, %v", dst, err)
	}
}

func TestAllocations(t *testing.T) {
	buf, vars := make([]byte, 0, 1000), list{"REQUEST_METHOD", "GET", "REQUEST_URI", "/"}
	if n := testing.AllocsPerRun(100, func() { _, _ = vars.append(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
