package blocking

import (
	"net/http"
	"time"
)

// Whoever serves the bridge may have limits of its own for reading a request and for
// writing its answer: http.Server's ReadTimeout and WriteTimeout, which Caddy sets, too. The
// deadlines of a client's connection that the bridge sets are never later. net/http does not
// tell when it began to read the request, nor what deadline another handler has set: the
// time counts from the call of ServeHTTP, and other deadlines cannot be put back.

// readLimit is when the request's body must be here, zero if there is no limit.
func (c *call) readLimit() time.Time {
	if s := c.server(); s != nil && s.ReadTimeout > 0 {
		return c.began.Add(s.ReadTimeout)
	}
	return time.Time{}
}

// writeLimit is when the answer must have been written, zero if there is no limit.
func (c *call) writeLimit() time.Time {
	if s := c.server(); s != nil && s.WriteTimeout > 0 {
		return c.began.Add(s.WriteTimeout)
	}
	return time.Time{}
}

// server is the one that the request came to, nil if it does not say so.
func (c *call) server() *http.Server {
	s, _ := c.R.Context().Value(http.ServerContextKey).(*http.Server)
	return s
}

// earlier returns t, or limit if that is earlier and not zero.
func earlier(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}
