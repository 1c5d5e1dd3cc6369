package fcgi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MaxPair is the largest encoded name-value pair, in bytes, that ParamsWriter
// accepts: it and its record fit into MaxContent with room to spare. flup cuts
// a pair at 65,186 bytes of value and PHP resets the connection above 64 KB, so
// larger ones are refused here, where the error can name them.
const MaxPair = 65500

// PairTooLargeError reports a name-value pair that does not fit into a record.
type PairTooLargeError struct {
	Name string
	Size int // bytes, encoded
}

func (e *PairTooLargeError) Error() string {
	return fmt.Sprintf("fcgi: parameter %.64q is %d bytes, more than the %d that fit into one record", e.Name, e.Size, MaxPair)
}

// AppendPair appends one name-value pair (section 3.4): lengths below 128 take
// one byte, others four.
func AppendPair(dst []byte, name, value string) []byte {
	dst = appendLength(dst, len(name))
	dst = appendLength(dst, len(value))
	dst = append(dst, name...)
	return append(dst, value...)
}

// PairSize returns how many bytes AppendPair appends.
func PairSize(name, value string) int {
	return lengthSize(len(name)) + lengthSize(len(value)) + len(name) + len(value)
}

// DecodePair decodes the pair b starts with and returns what follows it. Name
// and value alias b.
func DecodePair(b []byte) (name, value, rest []byte, err error) {
	nameLen, rest, err := decodeLength(b)
	if err != nil {
		return nil, nil, b, err
	}
	valueLen, rest, err := decodeLength(rest)
	if err != nil {
		return nil, nil, b, err
	}
	// Both are below 1<<31, so the sum cannot overflow an int64; an int may have
	// 32 bits (CVE-2025-23016 is this addition done carelessly).
	if int64(nameLen)+int64(valueLen) > int64(len(rest)) {
		return nil, nil, b, ErrShort
	}
	name, rest = rest[:nameLen:nameLen], rest[nameLen:]
	return name, rest[:valueLen:valueLen], rest[valueLen:], nil
}

func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	if int64(n) > math.MaxInt32 {
		panic(fmt.Sprintf("fcgi: %d bytes in a name or value", n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

func decodeLength(b []byte) (n uint32, rest []byte, err error) {
	if len(b) == 0 {
		return 0, b, ErrShort
	}
	if b[0] < 128 {
		return uint32(b[0]), b[1:], nil
	}
	if len(b) < 4 {
		return 0, b, ErrShort
	}
	return binary.BigEndian.Uint32(b) &^ (1 << 31), b[4:], nil
}

// ParamsWriter appends a request's PARAMS stream to a slice. Every record ends
// on a pair boundary.
type ParamsWriter struct {
	dst  []byte
	id   uint16
	open int // offset of the unfinished record's header, -1 if there is none
}

// NewParamsWriter returns a writer that appends to dst.
func NewParamsWriter(dst []byte, id uint16) ParamsWriter {
	return ParamsWriter{dst: dst, id: id, open: -1}
}

// Add appends one pair. On error (a *PairTooLargeError) nothing was appended.
func (w *ParamsWriter) Add(name, value string) error {
	size := PairSize(name, value)
	if size > MaxPair {
		return &PairTooLargeError{name, size}
	}
	if w.open >= 0 && len(w.dst)-w.open-HeaderLen+size > MaxContent {
		w.finish()
	}
	if w.open < 0 {
		w.open = len(w.dst)
		w.dst = AppendHeader(w.dst, Header{Type: TypeParams, RequestID: w.id})
	}
	w.dst = AppendPair(w.dst, name, value)
	return nil
}

// End appends the end of the stream and returns the slice. The writer must not
// be used afterwards.
func (w *ParamsWriter) End() []byte {
	w.finish()
	return AppendStreamEnd(w.dst, TypeParams, w.id)
}

func (w *ParamsWriter) finish() {
	if w.open < 0 {
		return
	}
	// Add keeps the content at or below MaxContent.
	binary.BigEndian.PutUint16(w.dst[w.open+4:], uint16(len(w.dst)-w.open-HeaderLen))
	w.open = -1
}
