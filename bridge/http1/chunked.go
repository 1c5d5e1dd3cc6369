package http1

import (
	"bytes"
	"errors"
)

// chunks is how far the chunked coding (section 7.1) was read.
type chunks struct {
	part   part
	digits int // of the size
	line   int // bytes of an extension, or of the trailer
}

// part is what the next byte belongs to.
type part uint8

const (
	size         part = iota // digits of a chunk's size
	extension                // what follows ";"
	sizeLF                   // the LF after the size
	data                     // of a chunk
	dataCR                   // the CR after them
	dataLF                   // the LF after that
	trailer                  // a line of the trailer, or the empty one
	trailerName              // the rest of a field's name
	trailerValue             // what follows the colon
	trailerLF                // the LF of such a line
	trailerEnd               // the LF of the empty line
)

const (
	// maxDigits bounds a chunk's size to 60 bits.
	maxDigits = 15
	// maxLine bounds an extension, and all the trailer, in bytes: both are dropped.
	maxLine = 16 << 10
)

var (
	errChunk   = errors.New("http: the answer's chunks are malformed")
	errTrailer = errors.New("http: the answer's trailer is malformed")
	errLine    = errors.New("http: a chunk's extension, or the trailer, is larger than 16 KiB")
)

// nextChunk returns the next bytes of a body in chunks, or that it has ended.
func (d *Decoder) nextChunk(in []byte) (output, rest []byte, ended bool, err error) {
	c := &d.chunks
	for i := 0; i < len(in); {
		if c.part == data {
			n := int(min(int64(len(in)-i), d.left))
			if d.left -= int64(n); d.left == 0 {
				c.part = dataCR
			}
			return in[i : i+n], in[i+n:], false, nil
		}
		if c.part == extension || c.part == trailerValue {
			n, err := c.skip(in[i:])
			if err != nil {
				return nil, in, false, err
			}
			if i += n; i == len(in) {
				break
			}
		}
		ended, err := d.frame(in[i])
		if i++; err != nil || ended {
			return nil, in[i:], ended, err
		}
	}
	return nil, nil, false, nil
}

// skip returns how much of in comes before a CR.
func (c *chunks) skip(in []byte) (int, error) {
	n := bytes.IndexByte(in, '\r')
	if n < 0 {
		n = len(in)
	}
	if c.line += n; c.line > maxLine {
		return 0, errLine
	}
	if hasControl(in[:n]) {
		return 0, errChunk
	}
	return n, nil
}

// frame takes one byte of what is around the data, and reports whether it is the last.
func (d *Decoder) frame(b byte) (ended bool, err error) {
	c := &d.chunks
	switch c.part {
	case size:
		return false, d.sizeByte(b)
	case extension: // b is CR
		c.part = sizeLF
	case trailerValue: // b is CR
		c.part = trailerLF
	case sizeLF:
		switch {
		case b != '\n':
			return false, errChunk
		case d.left > 0:
			c.part = data
		default:
			c.part, c.line = trailer, 0
		}
	case dataCR:
		if b != '\r' {
			return false, errChunk
		}
		c.part = dataLF
	case dataLF:
		if b != '\n' {
			return false, errChunk
		}
		d.chunks = chunks{}
	case trailer, trailerName:
		return false, c.trailerByte(b)
	case trailerLF:
		if b != '\n' {
			return false, errTrailer
		}
		c.part = trailer
	case trailerEnd:
		if b != '\n' {
			return false, errTrailer
		}
		return true, nil
	}
	return false, nil
}

func (d *Decoder) sizeByte(b byte) error {
	c := &d.chunks
	switch v, isHex := hexValue(b); {
	case isHex && c.digits < maxDigits:
		d.left = d.left<<4 | int64(v)
		c.digits++
		return nil
	case isHex, c.digits == 0:
		return errChunk
	case b == ';':
		c.part = extension
	case b == '\r':
		c.part = sizeLF
	default:
		return errChunk
	}
	return nil
}

// trailerByte takes a byte of the name of a field, the colon after it, or the CR of the line
// that ends the trailer.
func (c *chunks) trailerByte(b byte) error {
	c.line++
	switch {
	case c.part == trailer && b == '\r':
		c.part = trailerEnd
	case c.part == trailerName && b == ':':
		c.part = trailerValue
	case !tokenChars[b]:
		return errTrailer
	case c.line > maxLine:
		return errLine
	default:
		c.part = trailerName
	}
	return nil
}

func hexValue(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
