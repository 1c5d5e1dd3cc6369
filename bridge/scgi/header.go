package scgi

import (
	"fmt"
	"strconv"
	"strings"
)

// The two variables that every request has (section 3).
const (
	contentLength = "CONTENT_LENGTH"
	version       = "SCGI"
)

// VariableError reports a variable that SCGI cannot carry.
type VariableError struct{ Name, Reason string }

func (e *VariableError) Error() string {
	return fmt.Sprintf("scgi: variable %.64q %s", e.Name, e.Reason)
}

// AppendHeader appends the header of a request (section 3): everything but the body. It has n
// variables, in any order; at returns each of them and is called twice for each. A
// CONTENT_LENGTH that is missing or empty is 0. No other name may occur twice, which is not
// checked. The error is a *VariableError; dst is returned as it was.
func AppendHeader(dst []byte, n int, at func(i int) (name, value string)) ([]byte, error) {
	length, size, err := measure(n, at)
	if err != nil {
		return dst, err
	}
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, ':')
	dst = appendVariable(dst, contentLength, length)
	dst = appendVariable(dst, version, "1")
	for i := range n {
		name, value := at(i)
		if name != contentLength {
			dst = appendVariable(dst, name, value)
		}
	}
	return append(dst, ','), nil
}

// Size returns how many bytes the variables take in a header. The error is that of
// AppendHeader.
func Size(n int, at func(i int) (name, value string)) (int, error) {
	_, size, err := measure(n, at)
	return size, err
}

// measure checks the variables. It returns the value of CONTENT_LENGTH, and the size of the
// netstring's content.
func measure(n int, at func(i int) (name, value string)) (length string, size int, err error) {
	for i := range n {
		name, value := at(i)
		if reason := refuse(name, value); reason != "" {
			return "", 0, &VariableError{name, reason}
		}
		if name != contentLength {
			size += variableSize(name, value)
			continue
		}
		if length != "" {
			return "", 0, &VariableError{name, "is given twice"}
		}
		length = value
	}
	if length == "" {
		length = "0"
	}
	return length, size + variableSize(contentLength, length) + variableSize(version, "1"), nil
}

// refuse returns why a variable cannot be encoded, or "".
func refuse(name, value string) string {
	switch {
	case name == "":
		return "has no name"
	case strings.IndexByte(name, 0) >= 0:
		return "has a zero byte in its name"
	case strings.IndexByte(value, 0) >= 0:
		return "has a zero byte in its value"
	case name == version:
		return "is set by the protocol"
	case name == contentLength && strings.Trim(value, "0123456789") != "":
		return "is not a number"
	}
	return ""
}

func variableSize(name, value string) int { return len(name) + 1 + len(value) + 1 }

func appendVariable(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), 0)
	return append(append(dst, value...), 0)
}
