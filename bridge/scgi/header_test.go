package scgi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/scgi"
)

// list are names and values that alternate.
type list []string

func (l list) at(i int) (name, value string) { return l[2*i], l[2*i+1] }

func (l list) append(dst []byte) ([]byte, error) { return scgi.AppendHeader(dst, len(l)/2, l.at) }

func (l list) size() (int, error) { return scgi.Size(len(l)/2, l.at) }

func TestAppendHeader(t *testing.T) {
	for name, c := range map[string]struct {
		vars []string
		want string
	}{
		// The example of the specification (section 4).
		"specification": {
			[]string{"CONTENT_LENGTH", "27", "REQUEST_METHOD", "POST", "REQUEST_URI", "/deepthought"},
			"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,",
		},
		"another order": {
			[]string{"REQUEST_METHOD", "POST", "CONTENT_LENGTH", "27", "REQUEST_URI", "/deepthought"},
			"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,",
		},
		"no variables":    {nil, "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,"},
		"no body":         {[]string{"A", "b"}, "28:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00b\x00,"},
		"empty length":    {[]string{"CONTENT_LENGTH", "", "A", "b"}, "28:CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00b\x00,"},
		"empty value":     {[]string{"QUERY_STRING", ""}, "38:CONTENT_LENGTH\x000\x00SCGI\x001\x00QUERY_STRING\x00\x00,"},
		"bytes above 127": {[]string{"PATH_INFO", "/caf\xc3\xa9\xff"}, "42:CONTENT_LENGTH\x000\x00SCGI\x001\x00PATH_INFO\x00/caf\xc3\xa9\xff\x00,"},
		"large":           {[]string{"N", strings.Repeat("v", 100_000)}, "100027:CONTENT_LENGTH\x000\x00SCGI\x001\x00N\x00" + strings.Repeat("v", 100_000) + "\x00,"},
	} {
		got, err := list(c.vars).append([]byte("before"))
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s: %.200q, %v, want %.200q", name, got, err, c.want)
		}
		size, err := list(c.vars).size()
		if digits := strings.IndexByte(c.want, ':'); err != nil || size != len(c.want)-digits-len(":,") {
			t.Errorf("%s: size %d, %v", name, size, err)
		}
	}
}

func TestRefusedVariables(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"", "v", `scgi: variable "" has no name`},
		{"A\x00B", "v", `scgi: variable "A\x00B" has a zero byte in its name`},
		{"A", "v\x00", `scgi: variable "A" has a zero byte in its value`},
		{"SCGI", "1", `scgi: variable "SCGI" is set by the protocol`},
		{"CONTENT_LENGTH", "-1", `scgi: variable "CONTENT_LENGTH" is not a number`},
		{"CONTENT_LENGTH", "1 ", `scgi: variable "CONTENT_LENGTH" is not a number`},
		{"CONTENT_LENGTH", "2", `scgi: variable "CONTENT_LENGTH" is given twice`},
	} {
		vars := list{"CONTENT_LENGTH", "1", c.name, c.value}
		dst, err := vars.append([]byte("before"))
		_, sizeErr := vars.size()
		for _, err := range []error{err, sizeErr} {
			if e, ok := errors.AsType[*scgi.VariableError](err); !ok || e.Name != c.name || err.Error() != c.want {
				t.Errorf("%q: error %v, want %s", c.name, err, c.want)
			}
		}
		if string(dst) != "before" {
			t.Errorf("%q: %q", c.name, dst)
		}
	}
}

func TestAllocations(t *testing.T) {
	buf, vars := make([]byte, 0, 1000), list{"CONTENT_LENGTH", "27", "REQUEST_URI", "/deepthought"}
	if n := testing.AllocsPerRun(100, func() { _, _ = vars.append(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
