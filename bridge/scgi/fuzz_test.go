package scgi_test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/scgi"
)

// decode reads a header as the specification describes it.
func decode(t *testing.T, b []byte) (vars []string) {
	t.Helper()
	digits, rest, _ := bytes.Cut(b, []byte(":"))
	size, err := strconv.Atoi(string(digits))
	if err != nil || digits[0] == '0' || len(rest) != size+1 || rest[size] != ',' || rest[size-1] != 0 {
		t.Fatalf("%q is not a netstring of terminated strings", b)
	}
	vars = strings.Split(string(rest[:size-1]), "\x00")
	if len(vars) < 4 || len(vars)%2 != 0 || vars[0] != "CONTENT_LENGTH" || vars[2] != "SCGI" || vars[3] != "1" {
		t.Fatalf("%q begins with %q", b, vars)
	}
	if _, err := strconv.ParseUint(vars[1], 10, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		t.Fatalf("CONTENT_LENGTH is %q", vars[1])
	}
	return vars
}

// What is encoded decodes to the same variables, whatever they are, or is refused for a reason
// that the specification gives.
func FuzzAppendHeader(f *testing.F) {
	f.Add("REQUEST_METHOD", "POST", "REQUEST_URI", "/deepthought", "27")
	f.Add("A", "", "B", "b\x00", "")
	f.Add("CONTENT_LENGTH", "1", "", "x", "0")
	f.Add("SCGI", "2", "A", "\xff:,", "x")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, length string) {
		given := list{name1, value1, name2, value2, "CONTENT_LENGTH", length}
		got, err := given.append([]byte{})
		if _, ok := errors.AsType[*scgi.VariableError](err); err != nil {
			reserved := slices.Contains([]string{"", "SCGI", "CONTENT_LENGTH"}, name1) || slices.Contains([]string{"", "SCGI", "CONTENT_LENGTH"}, name2)
			broken := strings.Contains(strings.Join(given, ""), "\x00") || strings.Trim(length, "0123456789") != ""
			if !ok || len(got) > 0 || !reserved && !broken {
				t.Fatalf("%q: %q, %v", given, got, err)
			}
			return
		}
		if length == "" {
			length = "0"
		}
		vars := decode(t, got)
		want := []string{"CONTENT_LENGTH", length, "SCGI", "1", name1, value1, name2, value2}
		if name1 == "CONTENT_LENGTH" || name2 == "CONTENT_LENGTH" { // one of two lengths was empty
			return
		}
		if !slices.Equal(vars, want) {
			t.Fatalf("%q decodes to %q", want, vars)
		}
	})
}
