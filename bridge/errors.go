package bridge

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// The Proxy-Status error types in use (RFC 9209, section 2.3).
const (
	errLimit       = "connection_limit_reached"
	errRefused     = "connection_refused"
	errUnavailable = "destination_unavailable"
	errDialTimeout = "connection_timeout"
	errIncomplete  = "http_response_incomplete"
	errTimeout     = "http_response_timeout"
	errProtocol    = "http_protocol_error"
	errHeaderSize  = "http_response_header_section_size"
	errRequest     = "http_request_error"
	errDenied      = "http_request_denied"
	errInternal    = "proxy_internal_error"
)

// appError is an answer that could be read and cannot be used.
type appError struct {
	kind string // Proxy-Status error type
	err  error
}

func (e *appError) Error() string { return e.err.Error() }
func (e *appError) Unwrap() error { return e.err }

// clientError is a failure to read from or write to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return "client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// fullError reports an application that turned the request away unread until the
// time to wait for it was over.
type fullError struct{ err error }

func (e *fullError) Error() string { return "the application has no room: " + e.err.Error() }
func (e *fullError) Unwrap() error { return e.err }

// failure is how an error looks from outside.
type failure struct {
	status int
	kind   string // Proxy-Status error type
	text   string // for the client; names nothing of the inside
}

// classifyError maps errors to what docs/errors.md says of them.
func classifyError(err error) failure {
	var (
		refusal *admission.Refusal
		shared  *sharedError
		down    *downError
		bad     *quarantineError
		full    *fullError
		app     *appError
		file    *fileError
		client  *clientError
		request *cgi.RequestError
		dial    *pool.UnavailableError
		conn    *pool.Error
		params  *paramsError
		wire    *upstream.RequestError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return failure{StatusClientClosed, errRequest, ""}
	case errors.As(err, &full) && errors.As(err, &conn) && !conn.Serving:
		return failure{http.StatusBadGateway, errIncomplete, "The application closes every connection unanswered."}
	case errors.As(err, &shared):
		return failure{http.StatusTooManyRequests, errDenied, "This account is in use in too many places."}
	case errors.As(err, &down), errors.As(err, &refusal) && refusal.Reason == admission.Down, errors.Is(err, pool.ErrNotAccepted):
		return failure{http.StatusServiceUnavailable, errUnavailable, "The application cannot be started at the moment."}
	case errors.As(err, &bad):
		return failure{http.StatusServiceUnavailable, errDenied, "This is in quarantine: the application ended several times while it worked on requests like this one. Please try again later."}
	case errors.As(err, &refusal), errors.As(err, &full), errors.Is(err, pool.ErrWaitTimeout):
		return failure{http.StatusServiceUnavailable, errLimit, "The application is busy. Please try again in a moment."}
	case errors.Is(err, admission.ErrClosed), errors.Is(err, pool.ErrClosed):
		return shuttingDown
	case errors.Is(err, spool.ErrTooLarge):
		return failure{http.StatusRequestEntityTooLarge, errRequest, "The request's body is larger than this server takes."}
	case noRoom(err):
		return failure{http.StatusServiceUnavailable, errInternal, "This server has no room for the request's body now. Please try again in a moment."}
	case errors.As(err, &params), errors.As(err, &wire):
		return failure{http.StatusRequestHeaderFieldsTooLarge, errRequest, "The request's header is larger than the application takes."}
	case errors.As(err, &request):
		return classifyRequest(request)
	case errors.As(err, &client):
		return classifyClient(client)
	case errors.As(err, &dial):
		return classifyDial(dial)
	case errors.As(err, &file):
		return classifyFile(file)
	case errors.As(err, &app):
		return failure{http.StatusBadGateway, app.kind, "The application's answer could not be used."}
	case errors.As(err, &conn):
		return classifyConn(conn)
	}
	return failure{http.StatusInternalServerError, errInternal, "Something went wrong in this server."}
}

// noRoom reports whether the spool had no room, or none any more. It tells the log how
// often.
func noRoom(err error) bool {
	return errors.Is(err, spool.ErrDiskFull) || errors.Is(err, spool.ErrDisk) || errors.Is(err, spool.ErrCut)
}

// classifyRequest tells the client less than the log: why a path is out of reach
// is the operator's to know.
func classifyRequest(err *cgi.RequestError) failure {
	switch err.Status {
	case http.StatusMovedPermanently:
		return failure{err.Status, "", "It is at " + err.Location}
	case http.StatusUnauthorized:
		return failure{err.Status, errDenied, "This needs a user name and a password."}
	case http.StatusServiceUnavailable:
		return failure{err.Status, errLimit, "Too many are logging in. Please try again in a moment."}
	case http.StatusNotFound:
		return failure{err.Status, errRequest, "There is nothing here."}
	case http.StatusForbidden:
		return failure{err.Status, errRequest, "This may not be served."}
	case http.StatusMethodNotAllowed:
		return failure{err.Status, errRequest, "This method is not for this server."}
	}
	return failure{err.Status, errRequest, "The request could not be understood."}
}

func classifyClient(err *clientError) failure {
	var (
		timeout net.Error
		large   *http.MaxBytesError
	)
	switch {
	case errors.Is(err, http.ErrHandlerTimeout): // the front's
		return outOfTime
	case errors.As(err, &large): // the front's limit
		return failure{http.StatusRequestEntityTooLarge, errRequest, "The request's body is larger than this server takes."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return failure{http.StatusRequestTimeout, errRequest, "The request's body did not arrive in time."}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure{StatusClientClosed, errRequest, ""}
	}
	return failure{http.StatusBadRequest, errRequest, "The request's body could not be read."}
}

func classifyDial(err *pool.UnavailableError) failure {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{http.StatusBadGateway, errRefused, "The application is not running."}
	case errors.Is(err, fs.ErrNotExist):
		return failure{http.StatusBadGateway, errUnavailable, "The application is not running."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return failure{http.StatusGatewayTimeout, errDialTimeout, "The application could not be reached in time."}
	}
	return failure{http.StatusBadGateway, errUnavailable, "The application could not be reached."}
}

func classifyConn(err *pool.Error) failure {
	var format *upstream.FormatError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, pool.ErrSendTimeout):
		return failure{http.StatusGatewayTimeout, errTimeout, "The application did not answer in time."}
	case errors.Is(err, pool.ErrLagging):
		return failure{http.StatusServiceUnavailable, errInternal, "This server has no room for the answer now. Please try again in a moment."}
	case errors.As(err, &format), errors.Is(err, upstream.ErrUnknownRole), errors.Is(err, upstream.ErrCantMultiplex):
		return failure{http.StatusBadGateway, errProtocol, "The application's answer could not be used."}
	}
	return failure{http.StatusBadGateway, errIncomplete, "The application's answer ended too early."}
}

// outOfTime is a request whose context has exceeded its deadline, which an embedding server
// has set (http.TimeoutHandler). Its client is still there.
var outOfTime = failure{http.StatusGatewayTimeout, errTimeout, "The request was not answered in time."}

// shuttingDown is a request that the end of the server has ended.
var shuttingDown = failure{http.StatusServiceUnavailable, errUnavailable, "The service is being restarted. Please try again in a moment."}

// failureOf is how the error that ended the exchange looks from outside, with regard to the
// state of the request's context.
func (x *exchange) failureOf(err error) failure {
	f, ctx := classifyError(err), x.r.Context()
	switch {
	case x.isShutDown(err):
		return shuttingDown
	case x.deaf(f):
		return f
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		if errors.Is(err, context.Cause(ctx)) || errors.Is(err, pool.ErrInterrupted) {
			return outOfTime
		}
	case ctx.Err() != nil:
		f.status = StatusClientClosed
	}
	return f
}

// fail ends the exchange with an error: as a status if the client has not been
// sent anything, else by cutting its connection.
func (x *exchange) fail(err error) {
	f := x.failureOf(err)
	x.out.Err, x.out.ErrorType = err, f.kind
	refused := f == shuttingDown || x.noteRefusal(err)
	if f == shuttingDown && x.out.Status == 0 {
		x.out.Refused = refusedDrain
	}
	switch {
	case x.out.Status != 0:
		x.out.Aborted = true
	case f.status == StatusClientClosed:
		x.out.Status, x.out.Aborted = StatusClientClosed, true
	default:
		x.writeError(f)
	}
	level := slog.LevelError
	var (
		dial *pool.UnavailableError
		file *fileError
	)
	switch {
	case errors.As(err, &file): // the application's mistake, and not the client's
	case errors.As(err, &dial):
		level = slog.LevelDebug // the pool has said so, once; the access log has each
	case refused, noRoom(err):
		level = slog.LevelDebug // the log is told how many there are, or that this is the end
	case f.status == http.StatusServiceUnavailable, f.status == http.StatusForbidden:
		level = slog.LevelWarn
	case f.status < 500:
		level = slog.LevelDebug
	}
	x.b.cfg.Logger.Log(context.Background(), level, "request failed",
		"method", x.r.Method, "path", x.r.URL.Path, "status", x.out.Status, "aborted", x.out.Aborted,
		"error_type", f.kind, "error", err.Error(), "instance", x.out.Instance, "attempts", x.out.Attempts)
}

// deaf reports whether the end of the request's context does not mean that the
// client has left: net/http ends it as well when the client was too slow with
// its body, or when we stopped reading that.
func (x *exchange) deaf(f failure) bool {
	return f.status == http.StatusRequestTimeout || x.isCut()
}

// ErrorWriter is a http.ResponseWriter of a front that has error pages of its own.
type ErrorWriter interface {
	// WriteError takes over the answer to a request that failed with err. The header
	// holds what goes with it: Proxy-Status, Retry-After, Location. If it returns false,
	// the bridge answers.
	WriteError(status int, err error) bool
}

// writeError answers the client.
func (x *exchange) writeError(f failure) {
	h := x.w.Header()
	if x.parsed {
		clear(h) // what the application had begun to say
	}
	if f.kind != "" {
		h.Set("Proxy-Status", "sluice; error="+f.kind)
	}
	retry := retryAfter(x.out.Err, f.status)
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(retry))
	}
	var request *cgi.RequestError
	if errors.As(x.out.Err, &request) {
		if request.Location != "" {
			h.Set("Location", request.Location)
		}
		if request.Challenge != "" {
			h.Set("WWW-Authenticate", request.Challenge)
		}
	}
	if f.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") // RFC 9110, section 15.5.6; which of them is the application's to say
	}
	p := x.page(f, retry)
	x.endConnection(h)
	x.out.Status = p.status
	if front, ok := x.w.(ErrorWriter); ok && !p.own && front.WriteError(p.status, x.out.Err) {
		x.handedOver = true
		return
	}
	if p.contentType != "" {
		h.Set("Content-Type", p.contentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(p.body)))
	}
	if p.own {
		h.Set("Cache-Control", "no-store")
	}
	x.w.WriteHeader(p.status)
	if x.bodyless(p.status) {
		return
	}
	if err := x.writeWhole([]byte(p.body)); err != nil {
		x.out.Aborted = true
	}
}
