package bridge

import (
	"net"
	"net/http"
)

// roomFor has the client's socket take so many pieces of each answer at once, and then none.
func roomFor(pieces int) SiteHooks {
	return SiteHooks{ClientConn: func(_ http.ResponseWriter, r *http.Request) net.Conn {
		return &limitedConn{clientConn(nil, r), pieces}
	}}
}

type limitedConn struct {
	net.Conn
	pieces int
}

func (c *limitedConn) Takes(int) bool {
	c.pieces--
	return c.pieces >= 0
}
