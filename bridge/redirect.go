package bridge

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sluice-proxy/sluice/bridge/internal/lines"
)

// FileServer is a http.ResponseWriter of a front that sends static files itself, before it
// asks the bridge: where a local redirect leads, the front is asked first, too.
type FileServer interface {
	// ServeFile answers r with a static file, if it asks for one that this client may have.
	// It returns the status and the number of bytes that the client was sent, or status 0.
	ServeFile(r *http.Request) (status int, bytes int64)
}

// followed returns where a local redirect leads that is followed here. One with a body, or
// to where this bridge does not answer, is the client's, and its Location is written as
// it should be.
func (x *exchange) followed(location string, header int, stderr *lines.Source) (*url.URL, error) {
	x.said["Location"] = []string{location}
	target := x.localTarget(location)
	if target == nil {
		return nil, nil
	}
	none, err := x.awaitBody(header, stderr)
	if err != nil || !none {
		return nil, err
	}
	x.finish(header, stderr)
	return target, nil
}

// localTarget returns where a local redirect leads, nil if the client must go there by
// itself: to a path outside the mount, which is another application's, or to a static file
// if the front does not send those through the bridge.
func (x *exchange) localTarget(location string) *url.URL {
	target, err := url.ParseRequestURI(location)
	if err != nil {
		return nil // not of what cgi.ParseResponse makes
	}
	r := *x.r
	r.URL, r.RequestURI = target, location
	if !x.b.mapper.Mounts(&r) {
		return nil
	}
	if _, served := x.w.(FileServer); !served {
		if _, static := x.b.mapper.StaticFile(&r); static {
			return nil
		}
	}
	return target
}

// redirect makes x.r the request for a local redirect's target (RFC 3875, section 6.2.2).
// What was decided for the one before does not hold for it.
func (x *exchange) redirect(target *url.URL) {
	x.body.close()
	x.body = body{}
	x.replayed, x.unrun = false, 0
	ctx := x.r.Context()
	if x.isCut() {
		ctx = context.WithoutCancel(ctx) // see deaf
	}
	r := x.r.Clone(ctx)
	if r.Method != http.MethodHead {
		r.Method = http.MethodGet
	}
	r.URL, r.RequestURI, r.Body, r.ContentLength = target, target.RequestURI(), http.NoBody, 0
	r.Header.Del("Content-Type")
	x.r = r
	x.b.identify(r, &x.client) // who may see one path need not see another
	x.describe()
}

// sentByFront reports whether what a local redirect leads to was the front's to send.
func (x *exchange) sentByFront() bool {
	front, ok := x.w.(FileServer)
	if !ok {
		return false
	}
	status, n := front.ServeFile(x.r)
	if status == 0 {
		return false
	}
	x.out.Status, x.out.BytesOut = status, n
	return true
}
