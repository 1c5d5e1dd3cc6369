package blocking

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// The methods of exchange.Client.

func (c *call) Context() context.Context { return c.r.Context() }

func (c *call) Method() string { return c.r.Method }

func (c *call) Path() string { return c.r.URL.Path }

func (c *call) HTTP10() bool { return !c.r.ProtoAtLeast(1, 1) }

func (c *call) BodyLength() int64 {
	if hasBody(c.r) {
		return c.r.ContentLength
	}
	return 0
}

func (c *call) Identify(who *cgi.Client) { c.site.Identify(c.r, who) }

func (c *call) SetKey(ask *admission.Request, who *cgi.Client) {
	c.site.Classifier.Client(ask, c.r, who)
}

func (c *call) Classify(ask *admission.Request, scratch []byte) []byte {
	scratch = c.site.Classifier.Request(ask, c.r, scratch)
	if c.upgrades() {
		c.site.Classifier.SetUpgrade(ask)
	}
	return scratch
}

func (c *call) Vars(dst []cgi.Var, who *cgi.Client, length int64) ([]cgi.Var, error) {
	return c.site.Mapper.Vars(dst, c.r, who, length)
}

func (c *call) HTTP(dst *http1.Request, who *cgi.Client, length int64) error {
	err := c.site.Mapper.HTTP(dst, c.r, who, length)
	if dst.Upgrade != "" && !canHijack(c.w) {
		dst.Upgrade = ""
	}
	return err
}

func (c *call) Guarded() bool { return c.site.Guard.Has(c.r) }

func (c *call) AuthorizerVars(dst []cgi.Var, who *cgi.Client) ([]cgi.Var, error) {
	return c.site.Mapper.AuthorizerVars(dst, c.r, who, c.site.Config.Authorization.Fields)
}

func (c *call) AuthorizerHTTP(dst *http1.Request, who *cgi.Client, target string) error {
	return c.site.Mapper.AuthorizerHTTP(dst, c.r, who, target, c.site.Config.Authorization.Fields)
}

func (c *call) GrantFields(who *cgi.Client, said http.Header, user bool) {
	c.site.Mapper.GrantFields(who, said, user)
}

func (c *call) IsLongPoll() bool { return c.site.Classifier.IsLongPoll(c.r) }

func (c *call) PrefersJSON() bool { return classify.PrefersJSON(c.r.Header) }

// FindTarget: the client must go by itself to a path outside the mount, which is another
// application's, and to a static file if the front does not send those through the bridge. Of
// another path a web server must say what it leads to.
func (c *call) FindTarget(location string) bool {
	if cgi.ReceivedOf(c.r) != nil {
		return false
	}
	target, err := url.ParseRequestURI(location)
	if err != nil {
		return false // not of what cgi.ParseResponse makes
	}
	r := *c.r
	r.URL, r.RequestURI = target, location
	if !c.site.Mapper.Mounts(&r) {
		return false
	}
	if c.site.ServeFile == nil {
		if _, static := c.site.Mapper.StaticFile(&r); static {
			return false
		}
	}
	c.target = target
	return true
}

func (c *call) Redirect() {
	c.body.close()
	c.body = body{}
	ctx := c.r.Context()
	if c.source != nil && c.source.isCut() {
		ctx = context.WithoutCancel(ctx) // net/http has ended it because of that
	}
	r := c.r.Clone(ctx)
	if r.Method != http.MethodHead {
		r.Method = http.MethodGet
	}
	r.URL, r.RequestURI, r.Body, r.ContentLength = c.target, c.target.RequestURI(), http.NoBody, 0
	r.Header.Del("Content-Type")
	c.r = r
}

func (c *call) serveByFront() (status int, bytes int64) {
	if c.site.ServeFile == nil {
		return 0, 0
	}
	return c.site.ServeFile(c.w, c.r)
}

func (c *call) Header() http.Header { return c.w.Header() }

// interimWithin is how long the client may take to take an interim header, while the
// application's worker is taken: one that reads at all has room for it.
const interimWithin = time.Second

func (c *call) Interim(status int, said http.Header) {
	if !canFlush(c.w) {
		return
	}
	h := c.w.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, said)
	rc, limit := http.NewResponseController(c.w), c.writeLimit()
	_ = rc.SetWriteDeadline(earlier(time.Now().Add(interimWithin), limit)) // unsupported: the front bounds writes, or nobody does
	c.w.WriteHeader(status)
	_ = rc.SetWriteDeadline(limit)
	clear(h)
	maps.Copy(h, own)
}

// canFlush reports whether w sends what it is given at once. One that collects an answer
// (http.TimeoutHandler's) takes an interim status for the final one.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

func (c *call) Authorizer() bool {
	v := cgi.ReceivedOf(c.r)
	return v != nil && v.Authorizer
}

func (c *call) ErrorLog() io.Writer {
	if w, ok := c.w.(interface{ ErrorLog() io.Writer }); ok { // of package cgiserver
		return w.ErrorLog()
	}
	return nil
}

// PassesSendfile: a web server that is spoken to in FastCGI or SCGI acts on what it knows, and
// did so when the application was behind it without this program.
func (c *call) PassesSendfile() bool {
	return cgi.ReceivedOf(c.r) != nil || c.site.ActsOnSendfile != nil && c.site.ActsOnSendfile(c.w)
}
