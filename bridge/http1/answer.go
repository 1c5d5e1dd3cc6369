package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Decoder finds where the answers on one connection end. The zero value is ready for the
// first request.
type Decoder struct {
	state   state
	head    bool   // the request's method was HEAD
	upgrade bool   // it has asked for another protocol
	line    []byte // what has come of a line of the header, if not all
	lines   int    // of the header, that have come

	// What the header says.
	status    int
	http10    bool
	length    int64 // -1: it does not say
	chunked   bool
	close     bool
	keepAlive bool
	keepFor   time.Duration

	left   int64 // bytes of the body, or of a chunk, that are to come
	chunks chunks
}

// state is what the next byte belongs to.
type state uint8

const (
	idle     state = iota // no answer
	header                // a header, perhaps an interim one
	sized                 // a body with a length
	chunked               // a body in chunks
	untilEOF              // a body that the end of the connection ends
	upgraded              // another protocol
	over                  // nothing: the answer has ended, and that was not said yet
)

// End is what is known at the end of an answer.
type End struct {
	// Close says that the connection cannot carry another request.
	Close bool
	// KeepFor is how long the application keeps the connection while it is unused, 0 if the
	// application does not say.
	KeepFor time.Duration
}

// Begin announces that r is sent next.
func (d *Decoder) Begin(r *Request) {
	*d = Decoder{state: header, head: r.Method == "HEAD", upgrade: r.Upgrade != "", line: d.line[:0], length: -1}
}

// Next decodes what in begins with. It returns output - a part of a header as it has come, or
// of a body, without the chunked coding - or reports that the answer has ended. If it does
// neither, rest is empty, and more must come. After an error the connection cannot be used.
func (d *Decoder) Next(in []byte) (output, rest []byte, ended bool, err error) {
	switch d.state {
	case over:
		d.state = idle
		return nil, in, true, nil
	case header:
		if len(in) == 0 {
			return nil, in, false, nil
		}
		n, err := d.header(in)
		return in[:n], in[n:], false, err
	case sized:
		n := min(int64(len(in)), d.left)
		if d.left -= n; d.left == 0 {
			d.state = over
		}
		return in[:n], in[n:], false, nil
	case chunked:
		output, rest, ended, err = d.nextChunk(in)
		if ended {
			d.state = idle
		}
		return output, rest, ended, err
	case untilEOF, upgraded:
		return in, nil, false, nil
	}
	if len(in) > 0 {
		return nil, in, false, errors.New("http: bytes that belong to no request")
	}
	return nil, in, false, nil
}

// EOF reports whether the end of the connection, which was not reset, ends the answer.
func (d *Decoder) EOF() bool {
	if d.state != untilEOF && d.state != upgraded {
		return false
	}
	d.state, d.close = idle, true
	return true
}

// End returns what is known after the end of an answer.
func (d *Decoder) End() End { return End{Close: d.close, KeepFor: d.keepFor} }

// Idle reports that no answer has begun, or is expected.
func (d *Decoder) Idle() bool { return d.state == idle }

// header takes lines of the header from in, up to the empty one, and returns how many bytes
// that is.
func (d *Decoder) header(in []byte) (n int, err error) {
	for n < len(in) && d.state == header {
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			d.line = append(d.line, in[n:]...)
			return len(in), nil
		}
		line := in[n : n+end]
		if len(d.line) > 0 {
			d.line = append(d.line, line...)
			line = d.line
		}
		n += end + 1
		if err := d.headerLine(line); err != nil {
			return 0, err
		}
		d.line = d.line[:0]
	}
	return n, nil
}

// headerLine takes one line, without its LF.
func (d *Decoder) headerLine(line []byte) error {
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	d.lines++
	switch {
	case !ok:
		return d.wrong("%.100q ends without CR", line)
	case d.lines == 1:
		return d.statusLine(line)
	case len(line) == 0:
		return d.headerEnd()
	case line[0] == ' ' || line[0] == '\t':
		return d.wrong("%.100q continues the line before it", line)
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || !isToken(name) {
		return d.wrong("%.100q is no field", line)
	}
	if value = bytes.Trim(value, " \t"); hasControl(value) {
		return d.wrong("%.100q holds a control character", line)
	}
	return d.field(name, value)
}

func (d *Decoder) wrong(format string, args ...any) error {
	return fmt.Errorf("http: the answer's header, line %d: %s", d.lines, fmt.Sprintf(format, args...))
}

// statusLine parses "HTTP/1.1 200 OK" (section 4). The text may be missing, and the space
// before it, too.
func (d *Decoder) statusLine(line []byte) error {
	const version = "HTTP/1."
	const size = len(version + "1 200")
	if len(line) < size || string(line[:len(version)]) != version || line[len(version)+1] != ' ' ||
		len(line) > size && line[size] != ' ' || hasControl(line) {
		return d.wrong("%.100q is no status line of HTTP/1.1", line)
	}
	switch line[len(version)] {
	case '0':
		d.http10 = true
	case '1':
	default:
		return d.wrong("%.100q: the version is neither 1.0 nor 1.1", line)
	}
	for _, c := range line[size-3 : size] {
		if c < '0' || c > '9' {
			return d.wrong("%.100q: the status must be 100 to 999", line)
		}
		d.status = 10*d.status + int(c-'0')
	}
	if d.status < 100 {
		return d.wrong("%.100q: the status must be 100 to 999", line)
	}
	return nil
}

// field takes the fields that say where the body ends and what becomes of the connection.
func (d *Decoder) field(name, value []byte) error {
	switch {
	case fold(name, "Content-Length"):
		for text := range strings.SplitSeq(string(value), ",") {
			n, err := strconv.ParseUint(strings.Trim(text, " \t"), 10, 63)
			if err != nil {
				return d.wrong("Content-Length is %.100q, not a number of bytes", value)
			}
			if d.length >= 0 && d.length != int64(n) {
				return d.wrong("a second Content-Length, %d after %d", n, d.length)
			}
			d.length = int64(n)
		}
	case fold(name, "Transfer-Encoding"):
		if d.chunked || d.http10 || !fold(value, "chunked") {
			return d.wrong("Transfer-Encoding is %.100q: want chunked, once, in HTTP/1.1", value)
		}
		d.chunked = true
	case fold(name, "Connection"):
		for option := range strings.SplitSeq(string(value), ",") {
			option = strings.Trim(option, " \t")
			d.close = d.close || strings.EqualFold(option, "close")
			d.keepAlive = d.keepAlive || strings.EqualFold(option, "keep-alive")
		}
	case fold(name, "Keep-Alive"):
		for param := range strings.SplitSeq(string(value), ",") {
			key, text, _ := strings.Cut(strings.Trim(param, " \t"), "=")
			if seconds, err := strconv.ParseUint(text, 10, 31); err == nil && strings.EqualFold(key, "timeout") {
				d.keepFor = time.Duration(seconds) * time.Second
				d.close = d.close || seconds == 0 // less than a second, as Node rounds it
			}
		}
	}
	return nil
}

func fold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// headerEnd decides where the body ends (section 6.3).
func (d *Decoder) headerEnd() error {
	if d.chunked && d.length >= 0 {
		return errors.New("http: the answer has both Content-Length and Transfer-Encoding")
	}
	// gunicorn sends the body of an answer to HEAD if the application has made one, a moment
	// after the header: it must not meet another request. Others may do so where the header
	// announces a body that must not come.
	bodyless := d.head || d.status == 204 || d.status == 304
	d.close = d.close || d.http10 && !d.keepAlive || d.head || bodyless && (d.chunked || d.length > 0)
	switch {
	case d.status == 101 && !d.upgrade:
		return errors.New("http: 101 in answer to a request that has not asked for another protocol")
	case d.status == 101:
		d.state, d.close = upgraded, true
	case d.status < 200: // another header follows
		head, upgrade, line := d.head, d.upgrade, d.line
		*d = Decoder{state: header, head: head, upgrade: upgrade, line: line, length: -1}
	case bodyless || !d.chunked && d.length == 0:
		d.state = over
	case d.chunked:
		d.state, d.chunks = chunked, chunks{}
	case d.length > 0:
		d.state, d.left = sized, d.length
	default:
		d.state, d.close = untilEOF, true
	}
	return nil
}
