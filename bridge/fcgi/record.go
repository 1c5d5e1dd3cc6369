package fcgi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	// Version is the only protocol version there is (FCGI_VERSION_1).
	Version = 1
	// HeaderLen is the size of a record header in bytes (section 3.3).
	HeaderLen = 8
	// MaxContent is the most content one record can carry, in bytes.
	MaxContent = 65535
	// ManagementID is the request id of management records (FCGI_NULL_REQUEST_ID).
	ManagementID = 0

	// streamContent is where AppendStream splits: the largest multiple of eight
	// that fits, so that full records keep the alignment section 3.3 recommends.
	streamContent = MaxContent &^ 7
)

// Type is a record type (section 8).
type Type uint8

// The eleven record types of FastCGI 1.0.
const (
	TypeBeginRequest    Type = 1
	TypeAbortRequest    Type = 2
	TypeEndRequest      Type = 3
	TypeParams          Type = 4
	TypeStdin           Type = 5
	TypeStdout          Type = 6
	TypeStderr          Type = 7
	TypeData            Type = 8
	TypeGetValues       Type = 9
	TypeGetValuesResult Type = 10
	TypeUnknown         Type = 11
)

var typeNames = [...]string{
	TypeBeginRequest: "BEGIN_REQUEST", TypeAbortRequest: "ABORT_REQUEST", TypeEndRequest: "END_REQUEST",
	TypeParams: "PARAMS", TypeStdin: "STDIN", TypeStdout: "STDOUT", TypeStderr: "STDERR", TypeData: "DATA",
	TypeGetValues: "GET_VALUES", TypeGetValuesResult: "GET_VALUES_RESULT", TypeUnknown: "UNKNOWN_TYPE",
}

// Known reports whether t is one of the eleven types of the specification.
func (t Type) Known() bool { return t >= TypeBeginRequest && t <= TypeUnknown }

func (t Type) String() string {
	if t.Known() {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// ErrShort reports that the input ends inside a record, pair or length. A caller that reads
// from a connection needs more bytes; at the end of the connection the input is truncated.
var ErrShort = errors.New("fcgi: input ends early")

// FormatError reports bytes that FastCGI 1.0 does not allow.
type FormatError struct {
	What string // what was being decoded, "END_REQUEST"
	Why  string // what is wrong with it, "content is 7 bytes, want 8"
}

func (e *FormatError) Error() string { return "fcgi: bad " + e.What + ": " + e.Why }

// Header is a record header (section 3.3). Its version is always 1 and its
// reserved byte always zero on the wire.
type Header struct {
	Type          Type
	RequestID     uint16
	ContentLength uint16 // bytes
	PaddingLength uint8  // bytes
}

// AppendHeader appends h's eight bytes to dst.
func AppendHeader(dst []byte, h Header) []byte {
	return append(dst, Version, byte(h.Type),
		byte(h.RequestID>>8), byte(h.RequestID),
		byte(h.ContentLength>>8), byte(h.ContentLength),
		h.PaddingLength, 0)
}

// DecodeHeader decodes the first HeaderLen bytes of b. Unknown types are not an
// error here: a receiver answers or skips them (section 4.2). The reserved byte
// is ignored, as the specification asks of receivers.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	if b[0] != Version {
		return Header{}, &FormatError{"record header", fmt.Sprintf("version is %d, want 1 (does the peer speak FastCGI?)", b[0])}
	}
	return Header{
		Type:          Type(b[1]),
		RequestID:     binary.BigEndian.Uint16(b[2:]),
		ContentLength: binary.BigEndian.Uint16(b[4:]),
		PaddingLength: b[6],
	}, nil
}

// Record is one decoded record. Content aliases the decoder's input.
type Record struct {
	Header
	Content []byte
}

// DecodeRecord decodes the record b starts with and returns what follows it,
// its padding consumed.
func DecodeRecord(b []byte) (rec Record, rest []byte, err error) {
	h, err := DecodeHeader(b)
	if err != nil {
		return Record{}, b, err
	}
	end := HeaderLen + int(h.ContentLength)
	if len(b) < end+int(h.PaddingLength) {
		return Record{}, b, ErrShort
	}
	return Record{h, b[HeaderLen:end:end]}, b[end+int(h.PaddingLength):], nil
}

// AppendStream appends data as records of a stream type (PARAMS, STDIN, STDOUT,
// STDERR, DATA), as many as it takes. Empty data appends nothing. Data of one record may
// lie in dst's capacity, where it is to be: HeaderLen after dst's end.
func AppendStream(dst []byte, t Type, id uint16, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), streamContent)
		dst = appendRecord(dst, t, id, data[:n])
		data = data[n:]
	}
	return dst
}

// AppendStreamEnd appends the empty record that ends a stream.
func AppendStreamEnd(dst []byte, t Type, id uint16) []byte {
	return appendRecord(dst, t, id, nil)
}

// appendRecord is the one place that writes a record. Its callers split or refuse content
// that does not fit. It panics if a caller does not.
func appendRecord(dst []byte, t Type, id uint16, content []byte) []byte {
	if len(content) > MaxContent {
		panic(fmt.Sprintf("fcgi: %d bytes of content in one %v record", len(content), t))
	}
	dst = AppendHeader(dst, Header{Type: t, RequestID: id, ContentLength: uint16(len(content))})
	n := len(dst)
	dst = slices.Grow(dst, len(content))[:n+len(content)]
	copy(dst[n:], content) // costs nothing if content is there already
	return dst
}
