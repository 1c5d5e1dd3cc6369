package fcgi

import "fmt"

// The variables that section 4.1 defines for GET_VALUES.
const (
	MaxConns  = "FCGI_MAX_CONNS"  // most concurrent connections
	MaxReqs   = "FCGI_MAX_REQS"   // most concurrent requests
	MpxsConns = "FCGI_MPXS_CONNS" // "1" if connections are multiplexed
)

// AppendGetValues appends a GET_VALUES record that asks for names. It panics if
// they do not fit into one record, which the specification's three always do.
//
// The record ends with 1 to 8 bytes of padding: libfcgi 2.4 reads on past content
// without any, and does not answer before more comes.
func AppendGetValues(dst []byte, names ...string) []byte {
	var content []byte
	for _, name := range names {
		content = AppendPair(content, name, "")
	}
	padding := 8 - len(content)%8
	begin := len(dst)
	dst = appendRecord(dst, TypeGetValues, ManagementID, content)
	dst[begin+6] = byte(padding)
	return append(dst, make([]byte, padding)...)
}

// DecodeGetValues decodes the content of a GET_VALUES record: the names asked
// for. A value, which only a result may have, is an error.
func DecodeGetValues(content []byte) (names []string, err error) {
	for len(content) > 0 {
		var name, value []byte
		if name, value, content, err = DecodePair(content); err != nil {
			return nil, fmt.Errorf("%v: %w", TypeGetValues, err)
		}
		if len(value) > 0 {
			return nil, &FormatError{TypeGetValues.String(), fmt.Sprintf("name %.64q has a value", name)}
		}
		names = append(names, string(name))
	}
	return names, nil
}

// Value is one name and value of a GET_VALUES_RESULT record.
type Value struct{ Name, Value string }

// AppendGetValuesResult appends a GET_VALUES_RESULT record. It panics if the
// values do not fit into one record.
func AppendGetValuesResult(dst []byte, values ...Value) []byte {
	var content []byte
	for _, v := range values {
		content = AppendPair(content, v.Name, v.Value)
	}
	return appendRecord(dst, TypeGetValuesResult, ManagementID, content)
}

// DecodeGetValuesResult decodes the content of a GET_VALUES_RESULT record.
// Names the peer does not know are absent.
func DecodeGetValuesResult(content []byte) (values []Value, err error) {
	for len(content) > 0 {
		var name, value []byte
		if name, value, content, err = DecodePair(content); err != nil {
			return nil, fmt.Errorf("%v: %w", TypeGetValuesResult, err)
		}
		values = append(values, Value{string(name), string(value)})
	}
	return values, nil
}

// AppendUnknownType appends the UNKNOWN_TYPE record that answers a management
// record of type t (section 4.2).
func AppendUnknownType(dst []byte, t Type) []byte {
	return appendRecord(dst, TypeUnknown, ManagementID, append([]byte{byte(t)}, make([]byte, 7)...))
}

// DecodeUnknownType decodes the content of an UNKNOWN_TYPE record: the type that
// the peer did not know.
func DecodeUnknownType(content []byte) (Type, error) {
	if err := wantEight(TypeUnknown, content); err != nil {
		return 0, err
	}
	return Type(content[0]), nil
}
