package framing

// Head scans the header of one request at a time, for a server that reads requests by itself. It
// refuses what the connections of a Listener refuse, and an empty line before the request, which
// these accept.
type Head struct{ s scanner }

// errEmptyLine is for a server that leaves such requests to the connections of a Listener.
var errEmptyLine = badRequest("an empty line before the request line")

// NewHead returns a Head for headers of at most so many bytes, with the request line.
func NewHead(maxHeader int) *Head { return &Head{scanner{maxHeader: maxHeader}} }

// Scan goes on with the next bytes of the connection. It returns how many of them belong to the
// header, and whether the header ends with them. Then the next call begins another one. After an
// error, which no later call returns, the request is to be refused.
func (h *Head) Scan(b []byte) (n int, whole bool, err *Error) {
	s := &h.s
	if s.state == start && len(b) > 0 {
		if b[0] == '\r' {
			return 0, false, errEmptyLine
		}
		s.state, s.headerSize, s.logged = requestLine, 0, s.logged[:0]
	}
	for c := (cursor{b: b}); c.i < len(b); {
		if err := s.headLine(&c); err != nil {
			*h = Head{scanner{maxHeader: s.maxHeader}}
			return c.i, false, err
		}
		if n = c.i; !s.state.inHead() || s.state == start {
			s.state, s.partial = start, s.partial[:0]
			return n, true, nil
		}
	}
	return n, false, nil
}

// Length returns the length of the body after the header that Scan has found last, -1 if it comes in
// chunks.
func (h *Head) Length() int64 {
	if h.s.head.chunked {
		return -1
	}
	return h.s.head.length
}

// Minor returns the version of that header: HTTP/1.Minor.
func (h *Head) Minor() int { return int(h.s.head.minor - '0') }
