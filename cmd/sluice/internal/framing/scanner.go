package framing

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
)

// state is what comes next on a connection.
type state uint8

const (
	start       state = iota // a request, or one empty line before it
	startLF                  // the LF of that empty line
	started                  // a request
	requestLine              // the rest of it
	headerLine               // a field, or the end of the header
	bodyData                 // a body of a known length
	chunkSize                // the first digit of a chunk's size
	chunkDigits              // more of them, or what follows
	chunkExt                 // more of extensions, or their end
	chunkLF                  // the end of a chunk's header
	chunkData                // a chunk's data
	chunkDataCR              // the end of that
	chunkDataLF              // the same
	trailerLine              // a field, or the end of the trailer
)

// inHead reports whether what comes next belongs to a header.
func (s state) inHead() bool { return s <= headerLine }

const (
	// maxExtensions is how much the chunk extensions of one body may take, in bytes.
	// Hardly anybody uses any, and net/http has the same limit.
	maxExtensions = 16 << 10
	// maxTrailer is how much a trailer may take, in bytes.
	maxTrailer = 8 << 10
	// keepLine is the largest buffer for a line that a connection keeps, in bytes.
	keepLine = 512
)

// scanner follows the requests on a connection. One with state start waits for the first.
type scanner struct {
	most    int // bytes that a header may have
	state   state
	size    int // bytes that the header has so far
	head    head
	left    int64     // bytes of bodyData or chunkData; in a chunk's header, its size so far
	digits  int       // of a chunk's size
	ext     extension // where in a chunk's extensions
	extras  int       // bytes that the extensions of the body have taken
	trailer int       // bytes that the trailer has taken
	partial []byte    // the beginning of a line whose end has not come
	logged  []byte    // the request line, cut to maxLogged
}

// cursor goes through what was read, and moves what is kept to the front.
type cursor struct {
	b    []byte
	i, n int // b[i:] is to be read, b[:n] is kept; n is i at most
}

func (c *cursor) keep(m int) {
	if c.n != c.i {
		copy(c.b[c.n:], c.b[c.i:c.i+m])
	}
	c.n, c.i = c.n+m, c.i+m
}

func (c *cursor) drop(m int) { c.i += m }

// scan checks the bytes that came from the client, moves those that net/http is to read to
// the front of b, and returns their number. After an error the scanner must not be used.
func (s *scanner) scan(b []byte) (n int, err *Error) {
	c := cursor{b: b}
	for c.i < len(b) && err == nil {
		switch s.state {
		case start, startLF, started:
			err = s.begin(&c)
		case requestLine, headerLine:
			err = s.headLine(&c)
		case bodyData, chunkData:
			m := min(s.left, int64(len(b)-c.i))
			c.keep(int(m))
			if s.left -= m; s.left == 0 {
				s.dataEnded()
			}
		case trailerLine:
			err = s.trailerField(&c)
		default:
			err = s.chunk(&c)
		}
	}
	return c.n, err
}

// begin skips one empty line before a request (RFC 9112, section 2.2).
func (s *scanner) begin(c *cursor) *Error {
	first := c.b[c.i]
	switch {
	case s.state == startLF && first == '\n':
		s.state = started
	case s.state == startLF:
		return bad("a CR without LF before the request line")
	case s.state == start && first == '\r':
		s.state = startLF
	default:
		s.state, s.size, s.logged = requestLine, 0, s.logged[:0]
		return nil // the byte belongs to the request line
	}
	c.drop(1)
	return nil
}

// take returns the line that ends in what was read, with its CR and without its LF, and the number
// of bytes of it there, LF included. If the line goes on, it takes note of its beginning.
func (s *scanner) take(c *cursor) (line []byte, m int, ok bool) {
	rest := c.b[c.i:]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		s.partial = append(s.partial, rest...)
		return nil, len(rest), false
	}
	if line = rest[:end]; len(s.partial) > 0 {
		s.partial = append(s.partial, line...)
		line = s.partial
		if s.partial = s.partial[:0]; cap(s.partial) > keepLine {
			s.partial = nil
		}
	}
	return line, end + 1, true
}

// content takes the CR off the end of a line.
func content(line []byte) ([]byte, *Error) {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, bad("a line ends with LF alone, without CR")
	}
	return line[:len(line)-1], nil
}

// headLine reads a line of a header, or a part of one.
func (s *scanner) headLine(c *cursor) *Error {
	line, m, ok := s.take(c)
	if s.size += m; s.size > s.most {
		return s.tooLarge(line)
	}
	if !ok {
		c.keep(m)
		return nil
	}
	if err := s.readHeadLine(line); err != nil {
		c.keep(m - 1) // without LF net/http has no line
		err.Line = string(s.logged)
		return err
	}
	c.keep(m)
	return nil
}

// tooLarge refuses a header at line, which is nil if the line has not ended.
func (s *scanner) tooLarge(line []byte) *Error {
	if line == nil {
		line = s.partial
	}
	if s.state == requestLine {
		s.log(line)
	}
	return &Error{
		Status: http.StatusRequestHeaderFieldsTooLarge, Line: string(s.logged),
		Reason: fmt.Sprintf("the header is larger than the %d bytes that are allowed", s.most),
	}
}

// log keeps the request line for an Error.
func (s *scanner) log(line []byte) {
	s.logged = append(s.logged, bytes.TrimSuffix(line[:min(len(line), maxLogged)], cr)...)
}

func (s *scanner) readHeadLine(line []byte) *Error {
	if s.state == requestLine {
		s.log(line)
	}
	line, err := content(line)
	switch {
	case err != nil:
		return err
	case s.state == requestLine:
		s.head, s.state = head{}, headerLine
		return s.head.requestLine(line)
	case len(line) > 0:
		return s.head.field(line)
	}
	if err := s.head.end(); err != nil {
		return err
	}
	switch {
	case s.head.coded:
		s.state, s.extras, s.trailer = chunkSize, 0, 0
	case s.head.length > 0:
		s.state, s.left = bodyData, s.head.length
	default:
		s.state = start
	}
	return nil
}

var cr = []byte("\r")

func (s *scanner) dataEnded() {
	if s.state == chunkData {
		s.state = chunkDataCR
	} else {
		s.state = start
	}
}

// chunk reads a byte between the data of chunks (RFC 9112, section 7.1). Extensions are
// left out.
func (s *scanner) chunk(c *cursor) *Error {
	b := c.b[c.i]
	switch s.state {
	case chunkSize:
		if kindOf[b]&hex == 0 {
			return bad("a chunk's size is no hexadecimal number")
		}
		s.left, s.digits, s.state = digit(b), 1, chunkDigits
	case chunkDigits:
		if kindOf[b]&hex == 0 {
			s.state, s.ext = chunkExt, extNone
			return nil // the byte is to be read as what follows
		}
		if s.digits++; s.digits > 16 || s.left > math.MaxInt64>>4 {
			return bad("a chunk's size is too large")
		}
		s.left = s.left<<4 | digit(b)
	case chunkExt:
		if b != '\r' || !s.ext.mayEnd() {
			c.drop(1)
			return s.extend(b)
		}
		s.state = chunkLF
	case chunkLF:
		switch {
		case b != '\n':
			return bad("a CR without LF after a chunk's size")
		case s.left == 0:
			s.state = trailerLine
		default:
			s.state = chunkData
		}
	case chunkDataCR:
		if b != '\r' {
			return bad("a chunk's data is longer than its size")
		}
		s.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return bad("a CR without LF after a chunk's data")
		}
		s.state = chunkSize
	}
	c.keep(1)
	return nil
}

// digit is the value of a hexadecimal digit.
func digit(c byte) int64 {
	if c <= '9' {
		return int64(c - '0')
	}
	return int64(c|0x20-'a') + 10
}

func (s *scanner) extend(b byte) *Error {
	if s.extras++; s.extras > maxExtensions {
		return bad("the chunk extensions are too large")
	}
	var ok bool
	if s.ext, ok = s.ext.next(b); !ok {
		return bad("a chunk's size is followed by what is no extension")
	}
	return nil
}

// trailerField reads a line of a trailer, or a part of one. Only the empty line at its end
// is for net/http.
func (s *scanner) trailerField(c *cursor) *Error {
	line, m, ok := s.take(c)
	if s.trailer += m; s.trailer > maxTrailer {
		return bad("the trailer is too large")
	}
	if !ok {
		if string(s.partial) == "\r" {
			c.keep(m) // it can only be the end
			return nil
		}
		c.drop(m)
		return nil
	}
	line, err := content(line)
	if err != nil {
		return err
	}
	if len(line) == 0 {
		s.state = start
		c.keep(m)
		return nil
	}
	if _, _, err := field(line); err != nil {
		return err
	}
	c.drop(m)
	return nil
}
