package hold

import (
	"bytes"
	"fmt"
	"strings"
)

// Substitute returns a message's body with the values of variables for each %(name)s, and % for %%. In a
// name, a backslash takes the meaning of the character after it. A body with no % is returned as it is.
// The result must not be longer than most.
func Substitute(body []byte, vars map[string]string, most int) ([]byte, error) {
	next := bytes.IndexByte(body, '%')
	if next < 0 {
		return body, nil
	}
	var out []byte
	for ; next >= 0; next = bytes.IndexByte(body, '%') {
		out = append(out, body[:next]...)
		value, length, err := directive(body[next:], vars)
		if err != nil {
			return nil, err
		}
		if out = append(out, value...); len(out) > most {
			break
		}
		body = body[next+length:]
	}
	if len(out)+len(body) > most {
		return nil, fmt.Errorf("the message is longer than %d bytes with the values of its variables", most)
	}
	return append(out, body...), nil
}

// directive returns the value of the directive at the beginning of p, and how long that is.
func directive(p []byte, vars map[string]string) (value string, length int, err error) {
	switch {
	case len(p) > 1 && p[1] == '%':
		return "%", 2, nil
	case len(p) < 2 || p[1] != '(':
		return "", 0, fmt.Errorf("%.20q: want %%%% or %%(name)s", p)
	}
	var name strings.Builder
	for i := 2; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			i++
			name.WriteByte(p[i])
		case c == ')' && i+1 < len(p) && p[i+1] == 's':
			v, ok := vars[name.String()]
			if !ok {
				return "", 0, fmt.Errorf("there is no variable %.50q", name.String())
			}
			return v, i + 2, nil
		case c == ')':
			return "", 0, fmt.Errorf("%.50q: want s after the name", p[:i+1])
		default:
			name.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("%.50q does not end", p)
}
