package cgiserver

import (
	"errors"
	"io"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// management answers a management record (section 4).
func (c *fastCGIConn) management(h fcgi.Header) (left int, err error) {
	n := int(h.ContentLength)
	if h.Type != fcgi.TypeGetValues {
		return n, c.write(nil, fcgi.AppendUnknownType(nil, h.Type))
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(c.in, content); err != nil {
		return 0, err
	}
	names, err := fcgi.DecodeGetValues(content)
	if errors.Is(err, fcgi.ErrShort) {
		err = &fcgi.FormatError{What: h.Type.String(), Why: err.Error()}
	}
	if err != nil {
		return 0, err
	}
	var values []fcgi.Value
	for _, name := range names {
		switch name {
		case fcgi.MaxConns:
			values = append(values, fcgi.Value{Name: name, Value: strconv.FormatInt(c.server.maxConns.Load(), 10)})
		case fcgi.MaxReqs:
			values = append(values, fcgi.Value{Name: name, Value: strconv.FormatInt(c.server.maxRequests.Load(), 10)})
		case fcgi.MpxsConns:
			values = append(values, fcgi.Value{Name: name, Value: "1"})
		}
		if len(values) > 3 {
			return 0, &fcgi.FormatError{What: h.Type.String(), Why: "the same name is asked for several times"}
		}
	}
	return 0, c.write(nil, fcgi.AppendGetValuesResult(nil, values...))
}

// refuseRole answers a request in a role that the application does not have.
func (c *fastCGIConn) refuseRole(id uint16, begin fcgi.BeginRequest) error {
	if _, told := c.server.roles.LoadOrStore(begin.Role, true); !told {
		c.server.Logger.Warn("a web server asks for a role that the application does not have, and is answered with UNKNOWN_ROLE; this is logged once",
			"role", roleName(begin.Role), "peer", c.net.RemoteAddr().String(), "advice", "configure it as a responder in the web server")
	}
	err := c.write(nil, fcgi.AppendEndRequest(nil, id, fcgi.EndRequest{ProtocolStatus: fcgi.StatusUnknownRole}))
	if err != nil || begin.Flags&fcgi.FlagKeepConn != 0 {
		return err
	}
	c.drain()
	return nil
}

func roleName(r fcgi.Role) string {
	switch r {
	case fcgi.RoleAuthorizer:
		return "authorizer"
	case fcgi.RoleFilter:
		return "filter"
	}
	return strconv.Itoa(int(r))
}
