package cgi

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// decode undoes the coding of a body that comes in pieces of n bytes.
func decode(c *Chunked, body string, n int) (content string, err error) {
	var out strings.Builder
	for piece := []byte(body); len(piece) > 0; {
		now := piece[:min(n, len(piece))]
		piece = piece[len(now):]
		for len(now) > 0 {
			var data []byte
			if data, now, err = c.Next(now); err != nil {
				return out.String(), err
			}
			out.Write(data)
		}
	}
	return out.String(), c.End()
}

func TestChunked(t *testing.T) {
	for name, test := range map[string]struct {
		body, content string
		whole         bool // the last chunk has come
		err           error
	}{
		"one chunk":          {"5\r\nhello\r\n0\r\n\r\n", "hello", true, nil},
		"two chunks":         {"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", true, nil},
		"none":               {"0\r\n\r\n", "", true, nil},
		"LF":                 {"5\nhello\n0\n\n", "hello", true, nil},
		"line ends within":   {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", true, nil},
		"capitals, zeros":    {"00A\r\n0123456789\r\n00\r\n\r\n", "0123456789", true, nil},
		"extension":          {"5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", "hello", true, nil},
		"padded":             {"5   \r\nhello\r\n0 \r\n\r\n", "hello", true, nil},
		"trailer":            {"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX: 2\r\n\r\n", "hello", true, nil},
		"no last line":       {"5\r\nhello\r\n0\r\n", "hello", true, nil},
		"trailer without it": {"5\r\nhello\r\n0\r\nX-Sum", "hello", true, nil},
		"more after it":      {"5\r\nhello\r\n0\r\n\r\nand more", "hello", true, nil},

		"no last chunk":    {"5\r\nhello\r\n", "hello", false, errChunksCut},
		"half a chunk":     {"5\r\nhel", "hel", false, errChunksCut},
		"half a size":      {"5\r\nhello\r\n0", "hello", false, errChunksCut},
		"half the first":   {"5", "", false, errChunksCut},
		"too long":         {"5\r\nhello!\r\n0\r\n\r\n", "hello", false, errChunkEnd},
		"CR without LF":    {"5\r\nhello\r0\r\n\r\n", "hello", false, errChunkEnd},
		"no size":          {"5\r\nhello\r\n\r\n", "hello", false, errChunkSize},
		"no number":        {"5\r\nhello\r\nhello", "hello", false, errChunkSize},
		"negative":         {"5\r\nhello\r\n-1\r\n", "hello", false, errChunkSize},
		"too large":        {"5\r\nhello\r\n1000000000000000\r\n", "hello", false, errChunkSize},
		"CR in an ending":  {"5\r\nhello\r\n5;\rx\r\n", "hello", false, errChunkSize},
		"endless size":     {"5\r\nhello\r\n5;" + strings.Repeat("x", maxChunkLine), "hello", false, errChunkSize},
		"no chunks at all": {"hello", "hello", false, nil},

		"zeros before the size": {strings.Repeat("0", 30) + "5\r\nhello\r\n" + strings.Repeat("0", 16) + "\r\n\r\n", "hello", true, nil},
		"a size too large":      {"1\r\nh\r\n1" + strings.Repeat("0", 15) + "\r\nello", "h", false, errChunkSize},

		"nothing":                 {"", "", false, nil},
		"no chunks, and a line":   {"<html>\r\n<body>", "<html>\r\n<body>", false, nil},
		"no chunks, a number":     {"2024 was\nlong", "2024 was\nlong", false, nil},
		"no chunks, padded":       {"5 5\r\nhello", "5 5\r\nhello", false, nil},
		"looks like chunks":       {"1\nto be\n", "t", false, errChunkEnd},
		"no chunks, one sentence": {"Added to it", "Added to it", false, nil},
		"no chunks, line ends":    {"\r\n5\r\nhello", "\r\n5\r\nhello", false, nil},
		"no chunks, digits":       {strings.Repeat("1", 16) + "\n", strings.Repeat("1", 16) + "\n", false, nil},
		"no chunks, CR":           {"5\rhello", "5\rhello", false, nil},
	} {
		for _, n := range []int{1, 2, 3, 7, 1 << 20} {
			var c Chunked
			content, err := decode(&c, test.body, n)
			if !errors.Is(err, test.err) || c.Whole() != test.whole {
				t.Errorf("%s, %d at a time: %q, %v, whole %v; want %q, %v, %v", name, n, content, err, c.Whole(), test.content, test.err, test.whole)
			}
			if content != test.content && test.err == nil || !strings.HasPrefix(test.content, content) {
				t.Errorf("%s, %d at a time: %q, want %q", name, n, content, test.content)
			}
		}
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("5;x\nhello\n0\nX-Sum: 1\n\n"), uint8(1))
	f.Add([]byte("fffffffffffffff\r\nx"), uint8(9))
	f.Add([]byte("added\nto"), uint8(2))
	f.Add([]byte("0 \r\n\r\n"), uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, n uint8) {
		before := bytes.Clone(body)
		var whole, pieces Chunked
		content, err := decode(&whole, string(body), len(body)+1)
		again, sameErr := decode(&pieces, string(body), int(n)+1)
		if content != again || err != sameErr || whole.Whole() != pieces.Whole() {
			t.Errorf("%q, %v, or in pieces %q, %v", content, err, again, sameErr)
		}
		if !bytes.Equal(body, before) || len(content) > len(body) {
			t.Errorf("%q became %q", before, content)
		}
		if whole.Whole() && err != nil {
			t.Errorf("all has come, and %v", err)
		}
		// What the standard library takes for a whole body of chunks is one.
		std, err2 := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		if err2 == nil && (!whole.Whole() || content != string(std)) {
			t.Errorf("%q, whole %v; net/http reads %q", content, whole.Whole(), std)
		}
	})
}
