package bridge

import (
	"net/http"
	"strconv"

	"github.com/sluice-proxy/sluice/bridge/internal/roundtrip"
)

// Transport is an http.RoundTripper that has a Handler answer requests: for a proxy in this
// process that is an http.Handler itself, such as httputil.ReverseProxy, or for an http.Client.
// It is safe for concurrent use.
//
// What the application answers, and what the Handler refuses (503, 429) or finds wrong with the
// request (4xx), is a response. What has failed on the way to the application or back (502, 504,
// 500) is a *TransportError.
type Transport struct {
	// Handler answers the requests. It is not closed with the Transport.
	Handler *Handler
	// ActsOnSendfile reports that whoever uses the Transport acts on X-Sendfile and
	// X-Accel-Redirect, and is given these fields.
	ActsOnSendfile bool
}

// RoundTrip implements http.RoundTripper. A body of unknown length is read whole before the
// application is sent the request.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	a := &transported{roundtrip.New(r), t}
	go func() {
		a.Serve(a, t.Handler, incoming(r))
		if r.Body != nil {
			_ = r.Body.Close() // it was read as far as it was wanted
		}
	}()
	return a.Wait()
}

// transported is the http.ResponseWriter of a request that a Transport has made.
type transported struct {
	*roundtrip.Answer
	by *Transport
}

// fail has RoundTrip return an error if a status stands for one.
func (a *transported) fail(status int, err error) bool {
	if status < http.StatusInternalServerError || status == http.StatusServiceUnavailable {
		return false
	}
	a.Fail(&TransportError{status, err})
	return true
}

// incoming makes a request that a server could have received of one that a client sends.
func incoming(out *http.Request) *http.Request {
	r := *out
	if r.RequestURI == "" {
		r.RequestURI = r.URL.RequestURI()
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	if r.RemoteAddr == "" {
		r.RemoteAddr = "127.0.0.1:0" // it comes from this process
	}
	if r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody {
		r.ContentLength = -1 // which is what 0 means to a client
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	return &r
}

// TransportError is the error of a request that a Transport could not get an answer to.
type TransportError struct {
	Status int   // that a Handler would have answered: 500, 502 or 504
	Err    error // a *pool.UnavailableError if the application could not be connected to
}

func (e *TransportError) Error() string { return strconv.Itoa(e.Status) + ": " + e.Err.Error() }
func (e *TransportError) Unwrap() error { return e.Err }
