package fcgitest

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The record types, protocol statuses and the flag of the protocol.
const (
	BeginRequest = 1
	AbortRequest = 2
	EndRequest   = 3
	Params       = 4
	Stdin        = 5
	Stdout       = 6
	Stderr       = 7

	GetValues         = 9
	GetValuesResult   = 10
	UnknownTypeRecord = 11

	RequestComplete = 0
	CantMpxConn     = 1
	Overloaded      = 2
	UnknownRole     = 3

	KeepConn = 1
)

// maxContent is how many bytes of content one record may have.
const maxContent = 65535

// Record returns the bytes of one record.
func Record(typ byte, id uint16, content []byte) []byte { return Padded(typ, id, content, 0) }

// Padded returns the bytes of one record with padding. The padding is not zero, because receivers must
// ignore it.
func Padded(typ byte, id uint16, content []byte, padding byte) []byte {
	if len(content) > maxContent {
		panic(fmt.Sprintf("fcgitest: %d bytes in one record", len(content)))
	}
	b := []byte{1, typ, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), padding, 0}
	b = append(b, content...)
	for range padding {
		b = append(b, 0xAA)
	}
	return b
}

// Out returns text as one or more STDOUT records.
func Out(id uint16, text string) (b []byte) {
	for len(text) > 0 {
		n := min(len(text), maxContent)
		b = append(b, Record(Stdout, id, []byte(text[:n]))...)
		text = text[n:]
	}
	return b
}

// End returns an END_REQUEST record with success.
func End(id uint16) []byte { return EndStatus(id, RequestComplete) }

// EndStatus returns an END_REQUEST record with a protocol status.
func EndStatus(id uint16, status byte) []byte {
	return Record(EndRequest, id, []byte{0, 0, 0, 0, status, 0, 0, 0})
}

// record is a received record.
type record struct {
	typ     byte
	id      uint16
	content []byte
	padding byte
}

func readRecord(r io.Reader) (record, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return record{}, err
	}
	rec := record{typ: h[1], id: binary.BigEndian.Uint16(h[2:]), content: make([]byte, binary.BigEndian.Uint16(h[4:])), padding: h[6]}
	if h[0] != 1 || h[7] != 0 {
		return rec, fmt.Errorf("record header % x: version and reserved byte must be 1 and 0", h)
	}
	if _, err := io.ReadFull(r, rec.content); err != nil {
		return rec, err
	}
	_, err := io.CopyN(io.Discard, r, int64(h[6]))
	return rec, err
}

// Param is one name and value.
type Param struct{ Name, Value string }

// Pairs returns the bytes of names and values for PARAMS and GET_VALUES_RESULT.
func Pairs(params ...Param) (b []byte) {
	for _, p := range params {
		for _, n := range []int{len(p.Name), len(p.Value)} {
			if n < 0x80 {
				b = append(b, byte(n))
				continue
			}
			b = binary.BigEndian.AppendUint32(b, uint32(n)|0x80000000)
		}
		b = append(b, p.Name+p.Value...)
	}
	return b
}

// parseParams decodes the pairs in b, which must end with one.
func parseParams(b []byte) (params []Param, err error) {
	for len(b) > 0 {
		var lengths [2]int
		for i := range lengths {
			switch {
			case len(b) >= 1 && b[0] < 0x80:
				lengths[i], b = int(b[0]), b[1:]
			case len(b) >= 4:
				lengths[i], b = int(binary.BigEndian.Uint32(b)&0x7fffffff), b[4:]
			default:
				return params, fmt.Errorf("a pair's length ends early, after %d pairs", len(params))
			}
		}
		if lengths[0]+lengths[1] > len(b) {
			return params, fmt.Errorf("a pair of %d+%d bytes ends early, after %d pairs", lengths[0], lengths[1], len(params))
		}
		name, rest := b[:lengths[0]], b[lengths[0]:]
		params = append(params, Param{string(name), string(rest[:lengths[1]])})
		b = rest[lengths[1]:]
	}
	return params, nil
}
