package framing

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
)

// state is the scanner's position in the stream: what is read next.
type state uint8

const (
	start       state = iota // a request, or one empty line before it
	startLF                  // the LF of the empty line
	started                  // a request
	requestLine              // the rest of the request line
	headerLine               // a field line, or the end of the header
	bodyData                 // a body of a known length
	chunkSize                // the first digit of a chunk's size
	chunkDigits              // further digits, or the byte after them
	chunkExt                 // extensions, or their end
	chunkLF                  // the end of a chunk's header
	chunkData                // a chunk's data
	chunkDataCR              // the CR after a chunk's data
	chunkDataLF              // the LF after it
	trailerLine              // a field line, or the end of the trailer
)

// inHead reports whether the position is in a header.
func (s state) inHead() bool { return s <= headerLine }

const (
	// maxExtensions is how many bytes the chunk extensions of one body may have, as in net/http.
	maxExtensions = 16 << 10
	// maxTrailer is how many bytes a trailer may have.
	maxTrailer = 8 << 10
	// keepLine is the capacity in bytes up to which the buffer for partial lines is reused.
	keepLine = 512
)

// scanner follows the requests on a connection. Its zero state waits for a request.
type scanner struct {
	maxHeader   int // the greatest number of bytes in a header
	state       state
	headerSize  int // bytes of the header so far
	head        head
	left        int64     // bytes left of bodyData or chunkData; in a chunk's header, the size so far
	digits      int       // digits of the chunk's size so far
	ext         extension // the position in a chunk's extensions
	extSize     int       // bytes of extensions in the body so far
	trailerSize int       // bytes of the trailer so far
	partial     []byte    // the beginning of a line without its end
	logged      []byte    // the request line, cut to maxLogged
}

// cursor goes through the bytes read from the client, and moves those for net/http to the front.
type cursor struct {
	b    []byte
	i, n int // b[i:] is not scanned yet, b[:n] is for net/http; n <= i
}

func (c *cursor) keep(m int) {
	if c.n != c.i {
		copy(c.b[c.n:], c.b[c.i:c.i+m])
	}
	c.n, c.i = c.n+m, c.i+m
}

func (c *cursor) drop(m int) { c.i += m }

// scan checks the client's bytes in b, moves those for net/http to the front of b, and returns their
// number. After an error the scanner must not be used.
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
		return badRequest("a CR without LF before the request line")
	case s.state == start && first == '\r':
		s.state = startLF
	default:
		s.state, s.headerSize, s.logged = requestLine, 0, s.logged[:0]
		return nil // the byte belongs to the request line
	}
	c.drop(1)
	return nil
}

// nextLine returns the next line, with its CR and without its LF, and the number of its bytes in the
// cursor, LF included. If the line is not complete, ok is false and s.partial has its beginning.
func (s *scanner) nextLine(c *cursor) (line []byte, m int, ok bool) {
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

// trimCR removes the CR at the end of a line.
func trimCR(line []byte) ([]byte, *Error) {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, badRequest("a line ends with LF alone, without CR")
	}
	return line[:len(line)-1], nil
}

// headLine reads a line of a header, or a part of a line.
func (s *scanner) headLine(c *cursor) *Error {
	line, m, ok := s.nextLine(c)
	if s.headerSize += m; s.headerSize > s.maxHeader {
		return s.tooLarge(line)
	}
	if !ok {
		c.keep(m)
		return nil
	}
	if err := s.readHeadLine(line); err != nil {
		c.keep(m - 1) // without its LF, net/http does not read the line
		err.Line = string(s.logged)
		return err
	}
	c.keep(m)
	return nil
}

// tooLarge returns the error for a header that is too large at line; nil is an incomplete line.
func (s *scanner) tooLarge(line []byte) *Error {
	if line == nil {
		line = s.partial
	}
	if s.state == requestLine {
		s.log(line)
	}
	return &Error{
		Status: http.StatusRequestHeaderFieldsTooLarge, Line: string(s.logged),
		Reason: fmt.Sprintf("the header is larger than the %d bytes that are allowed", s.maxHeader),
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
	line, err := trimCR(line)
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
	case s.head.chunked:
		s.state, s.extSize, s.trailerSize = chunkSize, 0, 0
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

// chunk reads a byte between the data of chunks (RFC 9112, section 7.1). It drops extensions.
func (s *scanner) chunk(c *cursor) *Error {
	b := c.b[c.i]
	switch s.state {
	case chunkSize:
		if classOf[b]&hex == 0 {
			return badRequest("a chunk's size is no hexadecimal number")
		}
		s.left, s.digits, s.state = digit(b), 1, chunkDigits
	case chunkDigits:
		if classOf[b]&hex == 0 {
			s.state, s.ext = chunkExt, extNone
			return nil // chunkExt reads the byte
		}
		if s.digits++; s.digits > 16 || s.left > math.MaxInt64>>4 {
			return badRequest("a chunk's size is too large")
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
			return badRequest("a CR without LF after a chunk's size")
		case s.left == 0:
			s.state = trailerLine
		default:
			s.state = chunkData
		}
	case chunkDataCR:
		if b != '\r' {
			return badRequest("a chunk's data is longer than its size")
		}
		s.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return badRequest("a CR without LF after a chunk's data")
		}
		s.state = chunkSize
	}
	c.keep(1)
	return nil
}

// digit returns the value of a hexadecimal digit.
func digit(c byte) int64 {
	if c <= '9' {
		return int64(c - '0')
	}
	return int64(c|0x20-'a') + 10
}

func (s *scanner) extend(b byte) *Error {
	if s.extSize++; s.extSize > maxExtensions {
		return badRequest("the chunk extensions are too large")
	}
	var ok bool
	if s.ext, ok = s.ext.next(b); !ok {
		return badRequest("a chunk's size is followed by what is no extension")
	}
	return nil
}

// trailerField reads a line of a trailer, or a part of a line. It drops all but the empty line at
// the end.
func (s *scanner) trailerField(c *cursor) *Error {
	line, m, ok := s.nextLine(c)
	if s.trailerSize += m; s.trailerSize > maxTrailer {
		return badRequest("the trailer is too large")
	}
	if !ok {
		if string(s.partial) == "\r" {
			c.keep(m) // only the final empty line starts with CR
			return nil
		}
		c.drop(m)
		return nil
	}
	line, err := trimCR(line)
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
