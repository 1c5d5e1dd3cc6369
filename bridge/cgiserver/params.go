package cgiserver

import (
	"io"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// readParams reads a PARAMS record. An empty one ends the variables.
func (c *fastCGIConn) readParams(st *stream, n int) (left int, err error) {
	switch {
	case st.running || st.complete != nil:
		return n, nil // it was refused, or the web server adds what cannot be added
	case len(st.params)+n > int(c.server.maxParams.Load()):
		return n, c.start(st, nil, http.StatusRequestHeaderFieldsTooLarge)
	case n > 0:
		begin := len(st.params)
		st.params = append(st.params, make([]byte, n)...)
		_, err := io.ReadFull(c.in, st.params[begin:])
		return 0, err
	}
	v := &cgi.Received{Authorizer: st.begin.Role == fcgi.RoleAuthorizer}
	if v.Vars, err = decodeVars(st.params); err != nil {
		return 0, err
	}
	st.params, st.complete = nil, v
	if st.whole || announcesBody(v.Vars) {
		return 0, c.call(st)
	}
	return 0, nil // STDIN says whether there is a body
}

// decodeVars decodes name-value pairs. Their names and values are parts of one string.
func decodeVars(b []byte) ([]cgi.Var, error) {
	text, vars := string(b), make([]cgi.Var, 0, 32)
	for rest := b; len(rest) > 0; {
		name, value, after, err := fcgi.DecodePair(rest)
		if err != nil {
			return nil, &fcgi.FormatError{What: "PARAMS", Why: "the stream ends within a name-value pair"}
		}
		end := len(b) - len(after)
		begin := end - len(value)
		vars = append(vars, cgi.Var{Name: text[begin-len(name) : begin], Value: text[begin:end]})
		rest = after
	}
	return vars, nil
}

// announcesBody reports whether the variables say that there is a body.
func announcesBody(vars []cgi.Var) bool {
	for _, v := range vars {
		if v.Name == "CONTENT_LENGTH" && v.Value != "" && v.Value != "0" {
			return true
		}
	}
	return false
}
