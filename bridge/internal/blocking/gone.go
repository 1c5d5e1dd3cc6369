package blocking

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// Gone implements exchange.Client. What it passes on may be used when the client's request is over.
func (v *View) Gone(target string) {
	v.Site.Gone(v.R.Clone(context.WithoutCancel(v.R.Context())), target)
}

// ErrNowhere is why the application is not told that a client is gone: there is no such target here.
var ErrNowhere = errors.New("the target leads nowhere in this site")

// Tell tells the application that the client of r is gone, by a POST to target without a body, and
// returns the status of the answer. The request is otherwise as the client's: it shows the same cookies
// and credentials. It is passed to Observe, unless the error is ErrNowhere.
func (s *Site) Tell(r *http.Request, target string) (status int, err error) {
	v := View{Site: s, R: r}
	if !v.FindTarget(target) {
		return 0, ErrNowhere
	}
	v.Retarget(r.Context())
	r = v.R
	r.Method, r.TransferEncoding, r.Trailer = http.MethodPost, nil, nil
	v.Continue()
	for name := range r.Header { // what the client has said of its body, and of its connection
		if strings.HasPrefix(name, "Content-") || name == "Expect" || name == "Upgrade" || name == "Te" {
			delete(r.Header, name)
		}
	}
	c := &call{x: exchange.New(), View: v, w: make(nobody), original: r, began: time.Now(), tells: true}
	s.Identify(r, &c.x.Who)
	c.drive(c.x.Tell(&s.Site, c, c))
	c.end()
	s.Observe(r, &c.x.Out)
	return c.x.Out.Status, c.x.Out.Err
}

// nobody is the http.ResponseWriter of an answer that nobody waits for.
type nobody http.Header

// Header implements http.ResponseWriter.
func (n nobody) Header() http.Header { return http.Header(n) }

// WriteHeader implements http.ResponseWriter.
func (n nobody) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (n nobody) Write(p []byte) (int, error) { return len(p), nil }
