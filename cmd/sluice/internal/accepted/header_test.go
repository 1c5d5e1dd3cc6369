package accepted

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// sig begins headers of version 2.
const sig = "\r\n\r\n\x00\r\nQUIT\n"

// Of each header exactly its bytes are read, and the addresses are those in it.
func TestHeader(t *testing.T) {
	const rest = "GET / HTTP/1.1\r\n"
	ip4 := "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x50" // 192.0.2.7 198.51.100.1 4711 80
	for _, tc := range []struct{ name, text, remote, local string }{
		{"version 1", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", "192.0.2.7:4711", "198.51.100.1:80"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "[2001:db8::7]:4711", "[2001:db8::1]:443"},
		{"the longest line", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535" + strings.Repeat(" ", 48) + "\r\n", "", ""},
		{"the shortest line", "PROXY UNKNOWN\r\n", "", ""},
		{"version 2", sig + "\x21\x11\x00\x0c" + ip4, "192.0.2.7:4711", "198.51.100.1:80"},
		{"with a TLV", sig + "\x21\x11\x00\x14" + ip4 + "\x04\x00\x05\x00\x00\x00\x00\x00", "192.0.2.7:4711", "198.51.100.1:80"},
		{"local", sig + "\x20\x00\x00\x00", "", ""},
		{"local, with addresses", sig + "\x20\x11\x00\x0c" + ip4, "", ""},
		{"of unknown kind", sig + "\x21\x00\x00\x00", "", ""},
		{"of unknown kind, with more", sig + "\x21\x01\x00\x0c" + ip4, "", ""},
		{"UDP", sig + "\x21\x12\x00\x0c" + ip4, "", ""},
		{"a unix socket", sig + "\x21\x31\x00\xd8" + "/a" + strings.Repeat("\x00", 106) + "/b" + strings.Repeat("\x00", 106), "", ""},
	} {
		in := strings.NewReader(tc.text + rest)
		got, err := readHeader(in)
		left, _ := io.ReadAll(in)
		if err != nil || string(left) != rest {
			t.Errorf("%s: %v, and %q is left", tc.name, err, left)
		}
		switch {
		case (got == nil) != (tc.remote == ""):
			t.Errorf("%s: %v", tc.name, got)
		case got != nil && (got.remote.String() != tc.remote || got.local.String() != tc.local):
			t.Errorf("%s: %v to %v", tc.name, got.remote, got.local)
		}
		for n := range len(tc.text) {
			if _, err := readHeader(strings.NewReader(tc.text[:n])); err == nil || n == 0 && !errors.Is(err, io.EOF) {
				t.Errorf("%s: the first %d bytes are taken for a header, %v", tc.name, n, err)
			}
		}
	}
}

// What is no header is refused, and no more of it is read than is needed.
func TestNoHeader(t *testing.T) {
	for name, text := range map[string]string{
		"HTTP":           "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"TLS":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00",
		"lower case":     "proxy TCP4 192.0.2.7 198.51.100.1 4711 80\r\n",
		"no port":        "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
		"no address":     "PROXY TCP4 192.0.2 198.51.100.1 4711 80\r\n",
		"another family": "PROXY TCP6 192.0.2.7 198.51.100.1 4711 80\r\n",
		"no CR":          "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\n",
		"endless":        "PROXY TCP4 " + strings.Repeat("1", 200),
		"too long":       sig + "\x21\x11\xff\xff" + strings.Repeat("a", 1<<16),
		"too short":      sig + "\x21\x11\x00\x04abcd",
		"version 3":      sig + "\x31\x11\x00\x0c" + strings.Repeat("a", 12),
	} {
		in := strings.NewReader(text)
		if got, err := readHeader(in); err == nil {
			t.Errorf("%s is %v", name, got)
		}
		if read := len(text) - in.Len(); read > maxRest+fixedLen {
			t.Errorf("of %s, %d bytes were read", name, read)
		}
	}
}

// However its bytes are, reading ends, and takes no more than a header may have.
func FuzzHeader(f *testing.F) {
	for _, text := range []string{"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\nGET", sig + "\x21\x11\x00\x0caaaabbbbccddGET", sig + "\x20\x00\x00\x00", "PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := strings.NewReader(string(text))
		got, err := readHeader(in)
		if read := len(text) - in.Len(); read > maxRest+fixedLen {
			t.Errorf("%d bytes were read", read)
		}
		if err == nil && got != nil && (got.remote == nil || got.local == nil) {
			t.Errorf("addresses are missing: %+v", got)
		}
	})
}
