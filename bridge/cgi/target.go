package cgi

import "strings"

// isLocal reports a path that this server can serve in place of a redirect. A
// fragment is for the client, and "//host/path" is on another server.
func isLocal(location string) bool {
	return strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.Contains(location, "#")
}

// requestTarget writes a local path and query as a client would ask for it: what cannot
// stand there is encoded, a percent sign that begins no escape included.
func requestTarget(location string) string {
	path, query, hasQuery := strings.Cut(printable(location), "?")
	if strings.Contains(path, "%") {
		var b strings.Builder
		for i := range len(path) {
			b.WriteByte(path[i])
			if path[i] == '%' && !(i+2 < len(path) && isHexDigit(path[i+1]) && isHexDigit(path[i+2])) {
				b.WriteString("25")
			}
		}
		path = b.String()
	}
	if hasQuery {
		return path + "?" + query
	}
	return path
}
