package cgi

import "errors"

// Chunked decodes the chunked transfer coding (RFC 9112 section 7.1) of a body that an
// application has encoded itself. Lines may end in LF alone; extensions and trailers are
// dropped. A body that does not start with a chunk is returned unchanged: the application
// announced a coding that it did not apply. The zero value is ready to use.
type Chunked struct {
	state chunkState
	left  int64  // the chunk's size as far as it has been read, then its bytes still to come
	line  int    // bytes read of the line with the size
	sure  bool   // the first chunk's size has been read: there are chunks
	begun []byte // bytes read before sure, returned if there are no chunks
}

type chunkState uint8

const (
	chunkSize   chunkState = iota // a chunk's size
	chunkPad                      // spaces after it
	chunkExt                      // extensions after it, to the end of the line
	chunkSizeLF                   // after the CR of that line
	chunkData                     // the chunk's content
	chunkEnd                      // the end of line after the content
	chunkEndLF                    // after its CR
	chunkNone                     // there are no chunks

	chunkTrailer   // the beginning of a line after the last chunk
	chunkField     // within such a line
	chunkTrailerLF // after the CR of an empty one
	chunkOver      // the body is complete
)

const (
	maxChunkShift = 1 << 56 // a size of this or more takes no further digit
	maxChunkLine  = 4 << 10 // bytes of a size with its extensions
)

var (
	errChunkSize = errors.New("cgi: chunked body: there is something else where a chunk's size should be")
	errChunkEnd  = errors.New("cgi: chunked body: a chunk is longer than its size")
	errChunksCut = errors.New("cgi: chunked body: it ended before its last chunk")
)

// Next decodes the beginning of b. data is content, possibly empty, and rest is the part of
// b for the next call; when rest is empty, all of b has been decoded. data may be a part of
// b, and is valid until the next call.
func (c *Chunked) Next(b []byte) (data, rest []byte, err error) {
	for i, char := range b {
		switch c.state {
		case chunkNone:
			return b[i:], nil, nil
		case chunkOver:
			return nil, nil, nil
		case chunkData:
			n := min(c.left, int64(len(b)-i))
			if c.left -= n; c.left == 0 {
				c.state = chunkEnd
			}
			return b[i : i+int(n)], b[i+int(n):], nil
		}
		if !c.sure {
			c.begun = append(c.begun, char)
		}
		if err := c.step(char); err != nil {
			if c.sure {
				return nil, nil, err
			}
			c.state = chunkNone
			return c.begun, b[i+1:], nil
		}
	}
	return nil, nil, nil
}

// Whole reports whether the last chunk has been read. The content is complete then,
// whatever follows.
func (c *Chunked) Whole() bool { return c.state >= chunkTrailer }

// End returns an error if the body ends here and content is missing.
func (c *Chunked) End() error {
	if c.Whole() || c.state == chunkNone || !c.sure && len(c.begun) == 0 {
		return nil
	}
	return errChunksCut
}

// step reads a character that is not content.
func (c *Chunked) step(char byte) error {
	switch c.state {
	case chunkSize, chunkPad, chunkExt, chunkSizeLF:
		if c.line++; c.line > maxChunkLine {
			return errChunkSize
		}
		return c.sizeLine(char)
	case chunkEnd, chunkEndLF:
		switch {
		case char == '\n':
			c.state, c.left, c.line = chunkSize, 0, 0
		case char == '\r' && c.state == chunkEnd:
			c.state = chunkEndLF
		default:
			return errChunkEnd
		}
		return nil
	}
	c.trailer(char)
	return nil
}

func (c *Chunked) sizeLine(char byte) error {
	digit, isDigit := hexDigit(char)
	switch {
	case char == '\n' && c.line > 1:
		c.sure, c.begun = true, nil
		if c.state = chunkData; c.left == 0 {
			c.state = chunkTrailer
		}
	case c.state == chunkSizeLF:
		return errChunkSize
	case char == '\r' && c.line > 1:
		c.state = chunkSizeLF
	case c.state == chunkExt:
	case isDigit && c.state == chunkSize && c.left < maxChunkShift:
		c.left = c.left<<4 | int64(digit)
	case char == ';' && c.line > 1:
		c.state = chunkExt
	case (char == ' ' || char == '\t') && c.line > 1:
		c.state = chunkPad
	default:
		return errChunkSize
	}
	return nil
}

// trailer reads a character after the last chunk.
func (c *Chunked) trailer(char byte) {
	empty := c.state == chunkTrailer || c.state == chunkTrailerLF
	switch {
	case char == '\n' && empty:
		c.state = chunkOver
	case char == '\n':
		c.state = chunkTrailer
	case char == '\r' && c.state == chunkTrailer:
		c.state = chunkTrailerLF
	default:
		c.state = chunkField
	}
}
