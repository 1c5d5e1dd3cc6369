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

// View is a request as a site understands it: the methods of exchange.Client that need nothing of
// how the client is answered.
type View struct {
	Site *Site
	R    *http.Request // the client's, or what a local redirect has made of it

	target *url.URL // of a local redirect
}

func (c *call) Context() context.Context { return c.R.Context() }

func (v *View) Method() string { return v.R.Method }

func (v *View) Path() string { return v.R.URL.Path }

func (v *View) HTTP10() bool { return !v.R.ProtoAtLeast(1, 1) }

func (c *call) BodyLength() int64 {
	if hasBody(c.R) {
		return c.R.ContentLength
	}
	return 0
}

func (v *View) Identify(who *cgi.Client) { v.Site.Identify(v.R, who) }

func (v *View) SetKey(ask *admission.Request, who *cgi.Client) {
	v.Site.Classifier.Client(ask, v.R, who)
}

// Classify implements exchange.Client.
func (v *View) Classify(ask *admission.Request, scratch []byte) []byte {
	return v.Site.Classifier.Request(ask, v.R, scratch)
}

func (c *call) Classify(ask *admission.Request, scratch []byte) []byte {
	scratch = c.View.Classify(ask, scratch)
	if c.upgrades() {
		c.Site.Classifier.SetUpgrade(ask)
	}
	return scratch
}

func (v *View) Vars(dst []cgi.Var, who *cgi.Client, length int64) ([]cgi.Var, error) {
	return v.Site.Mapper.Vars(dst, v.R, who, length)
}

// HTTP implements exchange.Client.
func (v *View) HTTP(dst *http1.Request, who *cgi.Client, length int64) error {
	return v.Site.Mapper.HTTP(dst, v.R, who, length)
}

func (c *call) HTTP(dst *http1.Request, who *cgi.Client, length int64) error {
	err := c.View.HTTP(dst, who, length)
	if dst.Upgrade != "" && !canHijack(c.w) {
		dst.Upgrade = ""
	}
	return err
}

func (v *View) Guarded() bool { return v.Site.Mapper.Guarded(&v.Site.Guard, v.R) }

func (v *View) AuthorizerVars(dst []cgi.Var, who *cgi.Client) ([]cgi.Var, error) {
	return v.Site.Mapper.AuthorizerVars(dst, v.R, who, v.Site.Config.Authorization.Fields)
}

func (v *View) AuthorizerHTTP(dst *http1.Request, who *cgi.Client, target string) error {
	return v.Site.Mapper.AuthorizerHTTP(dst, v.R, who, target, v.Site.Config.Authorization.Fields)
}

func (v *View) GrantFields(who *cgi.Client, said http.Header, user bool) {
	v.Site.Mapper.GrantFields(who, said, user)
}

func (v *View) IsLongPoll() bool { return v.Site.Classifier.IsLongPoll(v.R) }

func (v *View) Negotiates() http.Header {
	if cgi.ReceivedOf(v.R) != nil {
		return nil
	}
	return v.R.Header
}

func (v *View) PrefersJSON() bool { return classify.PrefersJSON(v.R.Header) }

// FindTarget: the client must go by itself to a path outside the mount, which is another
// application's, and to a static file if the front does not send those through the bridge. Of
// another path a web server must say what it leads to.
func (v *View) FindTarget(location string) bool {
	if cgi.ReceivedOf(v.R) != nil {
		return false
	}
	target, err := url.ParseRequestURI(location)
	if err != nil {
		return false // not of what cgi.ParseResponse makes
	}
	r := *v.R
	r.URL, r.RequestURI = target, location
	if !v.Site.Mapper.Mounts(&r) {
		return false
	}
	if v.Site.ServeFile == nil {
		if _, static := v.Site.Mapper.StaticFile(&r); static {
			return false
		}
	}
	v.target = target
	return true
}

func (c *call) Redirect() {
	c.body.close()
	c.body = body{}
	ctx := c.R.Context()
	if c.source != nil && c.source.isCut() {
		ctx = context.WithoutCancel(ctx) // net/http has ended it because of that
	}
	c.Retarget(ctx)
}

// Retarget makes the request one for the target that FindTarget has found last: by GET, without a
// body.
func (v *View) Retarget(ctx context.Context) {
	r := v.R.Clone(ctx)
	if r.Method != http.MethodHead {
		r.Method = http.MethodGet
	}
	r.URL, r.RequestURI, r.Body, r.ContentLength = v.target, v.target.RequestURI(), http.NoBody, 0
	r.Header.Del("Content-Type")
	v.R = r
}

// Continue implements exchange.Client.
func (v *View) Continue() {
	for _, name := range []string{"Last-Event-Id", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
		v.R.Header.Del(name)
	}
}

func (c *call) serveByFront() (status int, bytes int64) {
	if c.Site.ServeFile == nil {
		return 0, 0
	}
	status, bytes = c.Site.ServeFile(c.w, c.R)
	c.sentFile = status != 0
	return status, bytes
}

func (c *call) Header() http.Header { return c.w.Header() }

// TakeHeader implements exchange.Client: the header is its ResponseWriter's.
func (c *call) TakeHeader(http.Header) http.Header { return nil }

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
	v := cgi.ReceivedOf(c.R)
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
	return cgi.ReceivedOf(c.R) != nil || c.Site.ActsOnSendfile != nil && c.Site.ActsOnSendfile(c.w)
}
