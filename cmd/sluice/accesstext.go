package main

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// textLog writes lines in the Common or the Combined Log Format, which Apache has made usual.
type textLog struct {
	to       io.Writer
	combined bool
	now      func() time.Time
}

// textLine is what a line says.
type textLine struct {
	client, user       string
	request            string // the request line
	status             int
	bytes              int64
	referer, userAgent string
}

func textLineOf(r *http.Request, client, user string, status int, bytes int64) *textLine {
	return &textLine{client, user, r.Method + " " + r.RequestURI + " " + r.Proto, status, bytes, r.Referer(), r.UserAgent()}
}

// write writes a line in one call, so that lines stay whole.
func (t *textLog) write(l *textLine) {
	b := make([]byte, 0, 256)
	b = appendWord(b, l.client)
	b = append(b, " - "...)
	b = appendWord(b, l.user)
	b = t.now().AppendFormat(b, " [02/Jan/2006:15:04:05 -0700] ")
	b = appendQuoted(b, l.request)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(l.status), 10)
	b = append(b, ' ')
	if l.bytes > 0 {
		b = strconv.AppendInt(b, l.bytes, 10)
	} else {
		b = append(b, '-')
	}
	if t.combined {
		b = appendQuoted(append(b, ' '), l.referer)
		b = appendQuoted(append(b, ' '), l.userAgent)
	}
	_, _ = t.to.Write(append(b, '\n')) // the writer counts what is lost
}

// appendQuoted appends a text in quotes, "-" if it is empty. As in Apache's log, quotes and
// backslashes have a backslash, and what is no printable ASCII is \xhh: no text can end its quotes
// or its line.
func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		return append(b, `"-"`...)
	}
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = appendByte(b, c, ' ')
		}
	}
	return append(b, '"')
}

// appendWord appends a text that stands without quotes, "-" if it is empty. Blanks, and what
// encloses the fields beside it, are \xhh, so that it stays one field.
func appendWord(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '[', ']':
			b = appendHex(b, c)
		default:
			b = appendByte(b, c, '!')
		}
	}
	return b
}

// appendByte appends a byte from least to '~' as it is.
func appendByte(b []byte, c, least byte) []byte {
	if c < least || c > '~' {
		return appendHex(b, c)
	}
	return append(b, c)
}

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'x', digits[c>>4], digits[c&15])
}
