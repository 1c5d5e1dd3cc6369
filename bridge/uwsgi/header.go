package uwsgi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrNoName reports a variable without a name.
var ErrNoName = errors.New("uwsgi: a variable has no name")

// TooLargeError reports variables that do not fit into 16 bits of size.
type TooLargeError struct {
	Name string // of a variable that is too large by itself; "": all are, together
	Size int    // bytes: of its name or value, or of all, encoded
}

func (e *TooLargeError) Error() string {
	what := "the variables are"
	if e.Name != "" {
		what = fmt.Sprintf("variable %.64q is", e.Name)
	}
	return fmt.Sprintf("uwsgi: %s %d bytes, more than the %d that the protocol can carry", what, e.Size, math.MaxUint16)
}

// AppendHeader appends a request without its body. It has n variables; at returns each of
// them and is called twice for each. The error is a *TooLargeError or ErrNoName; dst is
// returned as it was.
func AppendHeader(dst []byte, n int, at func(i int) (name, value string)) ([]byte, error) {
	size, err := Size(n, at)
	if err != nil {
		return dst, err
	}
	dst = append(dst, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(size))
	dst = append(dst, 0)
	for i := range n {
		name, value := at(i)
		dst = appendString(appendString(dst, name), value)
	}
	return dst, nil
}

// Size returns how many bytes the variables take in a header. The error is that of
// AppendHeader.
func Size(n int, at func(i int) (name, value string)) (size int, err error) {
	for i := range n {
		name, value := at(i)
		switch large := max(len(name), len(value)); {
		case name == "":
			return 0, ErrNoName
		case large > math.MaxUint16:
			return 0, &TooLargeError{name, large}
		}
		size += 2 + len(name) + 2 + len(value)
	}
	if size > math.MaxUint16 {
		return 0, &TooLargeError{"", size}
	}
	return size, nil
}

// appendString appends a name or a value. Its size was checked.
func appendString(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(dst, uint16(len(s))), s...)
}
